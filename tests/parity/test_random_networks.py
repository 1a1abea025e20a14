"""Random small networks through every backend and its runtime, next to eager."""

import tempfile
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="compiling needs torch")

import numpy as np
import torch
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from edge_pipeline.errors import CompileError
from edge_pipeline.models.base import build_model
from tests.compiled import PACKAGES, outputs_of
from tests.phi import loud
from tests.programs import lively
from tests.selection import examples, fast_or_slow
from tests.strategies import sizes, small_networks

BACKENDS = sorted(PACKAGES)
TOLERANCE = 2e-5
# Nothing is explained: each attempt is a compilation, and explaining takes a hundred.
PHASES = (Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink)
COMMON = {"suppress_health_check": list(HealthCheck), "phases": PHASES}
few = examples(6, 2, **COMMON)
many = settings(max_examples=40, **COMMON)


def agree(backend, module, inputs):
    """Compile and run; hold it against eager relative to the largest value."""
    with torch.no_grad():
        expected = module(*inputs).numpy()
    with tempfile.TemporaryDirectory() as folder:
        (found,) = outputs_of(backend, module, inputs, Path(folder))
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= TOLERANCE * max(1.0, np.abs(expected).max())


def random_input(channels, size, seed):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(1, channels, *size, generator=generator)


@pytest.fixture
def backend(request):
    pytest.importorskip(PACKAGES[request.param], reason="its extra is not installed")
    return request.param


def fast_on(*names):
    """All backends; those that are not named are slow."""
    cases = fast_or_slow(
        [(name,) for name in BACKENDS],
        [(name,) for name in names],
        uncovered=set(BACKENDS) - set(names),
    )
    return pytest.mark.parametrize("backend", cases, indirect=True)


def check_small(backend, network, size, seed):
    agree(backend, network, [random_input(network.in_channels, size, seed)])


@fast_on(*BACKENDS)
@few
@given(network=small_networks(), size=sizes(), seed=st.integers(0, 99))
def test_a_small_network_computes_the_same(backend, network, size, seed):
    check_small(backend, network, size, seed)


@fast_on(*BACKENDS)
@pytest.mark.slow
@many
@given(network=small_networks(), size=sizes(), seed=st.integers(0, 99))
def test_many_small_networks_compute_the_same(backend, network, size, seed):
    check_small(backend, network, size, seed)


@fast_on("executorch")
@few
@given(network=small_networks(computed_groups=True), size=sizes(), seed=st.integers(0, 99))
def test_what_cannot_be_lowered_is_told_by_its_layer(backend, network, size, seed):
    complaint = None
    try:
        check_small(backend, network, size, seed)
    except CompileError as error:
        complaint = str(error)
    if complaint is not None:
        assert any(layer.computed and layer.groups > 1 for layer in network.layers), complaint
        assert "group" in complaint


class AtPhi(torch.nn.Module):
    """A phi network at one phi; its weights are computed in the program, and folded."""

    def __init__(self, network, phi):
        super().__init__()
        self.network = network
        self.at = phi

    def forward(self, x):
        return self.network(x, self.at)


@fast_on("onnx")
@few
@given(
    phi=st.floats(0.05, 0.6),
    widths=st.lists(st.integers(1, 6), min_size=2, max_size=4),
    size=sizes(5, 40),
    corners=st.booleans(),
)
def test_a_specialised_phi_network_computes_the_same(backend, phi, widths, size, corners):
    options = {
        "encoder": "-".join(map(str, widths)),
        "decoder": "-".join(map(str, widths[-2::-1])),
        "align_corners": corners,
        "hidden2": 8,
    }
    network = loud(build_model("phi_unet_pets", options), phi)
    agree(backend, AtPhi(network, phi).eval(), [random_input(3, size, 1)])


@fast_on("litert")
@examples(6, 1, **COMMON)  # and the two below
@given(
    grid=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    patch=st.integers(2, 7),
    channels=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    expand=st.integers(1, 3),
    kernel=st.sampled_from([1, 3]),
    halo=st.sampled_from(["block", "layer"]),
)
@example(grid=(1, 1), patch=2, channels=(3, 2), expand=3, kernel=3, halo="layer")
@example(grid=(1, 2), patch=2, channels=(1, 1), expand=1, kernel=3, halo="block")
def test_a_patchwise_block_computes_the_same(backend, grid, patch, channels, expand, kernel, halo):
    options = {
        "in_channels": channels[0],
        "out_channels": channels[1],
        "signal_channels": 4,
        "expand": expand,
        "kernel": kernel,
        "patch": patch,
        "groups": 2,
        "halo": halo,
    }
    network = lively(build_model("patchwise_block", options))
    features = random_input(channels[0], (grid[0] * patch, grid[1] * patch), 2)
    signal = torch.randn(1, 4, *grid, generator=torch.Generator().manual_seed(3))
    agree(backend, network, [features, signal])
