"""Which layers int8 leaves in float32 if int8 in all layers is not exact enough."""

import pytest

pytest.importorskip("torch", reason="compiling needs torch")

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import edge_pipeline
from edge_pipeline.compiler.precision.kept_float import fingerprint
from edge_pipeline.compiler.precision.sensitivity import float_layers
from edge_pipeline.errors import AccuracyError, TooManyInFloatError
from edge_pipeline.runtime.base import open_session
from tests.compiled import PACKAGES
from tests.programs import exported

CHANNELS = 8


class Wide(nn.Module):
    """One channel between `large` and `small` is 2000 times as large as the others, and unused.

    A scale for all channels rounds the others to zero, so these two layers need float32.
    """

    def __init__(self, last=32):
        super().__init__()
        torch.manual_seed(1)
        self.first = nn.Conv2d(3, CHANNELS, 1)
        self.large = nn.Conv2d(CHANNELS, CHANNELS, 1)
        self.small = nn.Conv2d(CHANNELS, CHANNELS, 1)
        self.last = nn.Conv2d(CHANNELS, last, 3, padding=1)
        with torch.no_grad():
            self.large.weight[0] *= 2000
            self.small.weight[:, 0] = 0

    def forward(self, x):
        return self.last(torch.relu(self.small(self.large(torch.relu(self.first(x))))))


def samples(count=3):
    made = torch.Generator().manual_seed(5)
    return [(torch.rand(1, 3, 12, 12, generator=made),) for _ in range(count)]


def test_the_layers_beside_a_wide_range_are_found():
    program = exported(Wide().eval(), *samples()[0])
    found = float_layers(program, samples(), 32.0)
    assert set(found.names) == {"large", "small"}
    assert found.of == 3  # the layer that reads the input is in float32 anyway
    network = Wide()
    weights = (network.large.weight, network.small.weight)
    assert found.keys == {fingerprint(w.detach().numpy()) for w in weights}
    size = 2 * CHANNELS**2
    assert found.share == pytest.approx(size / (size + network.last.weight.numel()))
    assert "2 of 3 layers, with 5% of the weights" in found.note()


def test_no_layer_is_kept_if_the_estimate_is_good_enough():
    program = exported(Wide().eval(), *samples()[0])
    assert float_layers(program, samples(), -20.0).keys == frozenset()


def test_keeping_most_of_the_weights_is_refused():
    program = exported(Wide().eval(), *samples()[0])
    with pytest.raises(TooManyInFloatError, match=r"3 of 3 layers, with 100% of the weights"):
        float_layers(program, samples(), 120.0)


@given(st.permutations(range(4)), st.integers(0, 2**31))
def test_a_fingerprint_ignores_the_order_of_axes_and_sees_every_value(order, seed):
    drawn = np.random.default_rng(seed)
    weight = drawn.standard_normal((2, 3, 4, 1)).astype(np.float32)
    assert fingerprint(weight.transpose(order)) == fingerprint(weight)
    other = weight.copy()
    other.flat[seed % other.size] += 1
    assert fingerprint(other) != fingerprint(weight)


def compiled(backend, network, folder):
    pytest.importorskip(PACKAGES[backend], reason=f"the extra {backend} is not installed")
    return edge_pipeline.compile(
        network, {"x": samples()[0][0]}, folder, backend=backend, precision="int8"
    )


@pytest.mark.parametrize("backend", ["onnx", "executorch", "litert"])
def test_a_network_that_int8_spoils_is_written_with_two_layers_in_float(backend, tmp_path):
    network = Wide().eval()
    artifact = compiled(backend, network, tmp_path / "a")
    assert any("2 of 3 layers" in note for note in artifact.manifest.notes)
    assert artifact.manifest.programs[0].delegation.outside == {}
    (x,) = samples(9)[-1]
    with open_session(artifact, "forward", threads=1) as session:
        (found,) = session.run({"x": x.numpy()}).values()
    expected = network(x).detach().numpy()
    error = np.sqrt(np.square(found - expected).mean()) / np.ptp(expected)
    assert 1e-5 < error < 10 ** (-30 / 20)  # the last layer is in int8


def test_the_error_says_how_much_would_have_to_stay_in_float(tmp_path):
    with pytest.raises(AccuracyError, match=r"PSNR .* 2 of 4 layers, with 57% of the weights"):
        compiled("onnx", Wide(last=1).eval(), tmp_path / "a")
    assert list(tmp_path.iterdir()) == []
