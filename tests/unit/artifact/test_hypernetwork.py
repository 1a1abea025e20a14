"""The hypernetwork without torch: the same weights, the same sizes, and one sentence for damage."""

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given
from hypothesis import strategies as st

from edge_pipeline.artifact.hypernetwork import (
    Hypernetwork,
    HypernetworkSpec,
    hypernetwork_bytes,
    map_sizes,
)
from edge_pipeline.errors import ArtifactError, InputError

SHAPES = {"a_0.weight": (4, 3, 3, 3), "a_0.bias": (4,)}
SPEC = HypernetworkSpec(shapes=SHAPES, slope=0.01, phi_range=(0.1, 0.6), levels=5)


def tensors(seed=0):
    rng = np.random.default_rng(seed)
    shapes = {
        "hidden.0.weight": (5, 2),
        "hidden.0.bias": (5,),
        "hidden.2.weight": (7, 5),
        "hidden.2.bias": (7,),
    }
    for name, shape in SHAPES.items():
        shapes[f"heads.{name}.weight"] = (int(np.prod(shape)), 7)
        shapes[f"heads.{name}.bias"] = (int(np.prod(shape)),)
    return {name: rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}


@pytest.fixture
def file(tmp_path):
    (tmp_path / "h.safetensors").write_bytes(hypernetwork_bytes(SPEC, tensors()))
    return tmp_path / "h.safetensors"


@pytest.mark.parametrize("phi", [0.1, 0.35, 0.6])
def test_agrees_with_torch(file, phi):
    torch = pytest.importorskip("torch", reason="the network is torch's")
    from edge_pipeline.models.layers.hypernetwork import Hypernetwork as Source

    source = Source(SHAPES, 5, 7)
    source.load_state_dict({name: torch.from_numpy(v) for name, v in tensors().items()})
    with torch.no_grad():
        wanted = source(torch.tensor([phi]))
    found = Hypernetwork.open(file).predict(phi)
    assert list(found) == list(wanted)
    for name, value in found.items():
        assert value.dtype == np.float32
        np.testing.assert_allclose(value, wanted[name].numpy(), rtol=0, atol=3e-6)


@given(
    st.integers(1, 300), st.integers(1, 300), st.floats(0, 1, exclude_min=True), st.integers(1, 6)
)
def test_sizes_are_the_networks(height, width, phi, levels):
    pytest.importorskip("torch", reason="the network is torch's")
    from edge_pipeline.models.phi_unet import sizes_of

    assert map_sizes(height, width, phi, levels) == sizes_of(height, width, phi, levels)


@given(st.integers(8, 300), st.integers(8, 300), st.integers(1000, 6000))
def test_the_range_of_same_sizes_is_all_of_it(height, width, step):
    phi = step / 10_000
    low, high = Hypernetwork(None, SPEC).same_sizes(height, width, phi)
    wanted = map_sizes(height, width, phi, SPEC.levels)
    assert low <= phi <= high
    assert map_sizes(height, width, low, 5) == wanted == map_sizes(height, width, high, 5)
    if low > 0.1 + 1e-9:
        assert map_sizes(height, width, low - 1e-4, 5) != wanted
    if high < 0.6 - 1e-9:
        assert map_sizes(height, width, high + 1e-4, 5) != wanted


def test_the_same_bytes_whatever_the_order(file):
    backwards = dict(reversed(tensors().items()))
    assert hypernetwork_bytes(SPEC, backwards) == file.read_bytes()


@pytest.mark.parametrize("phi", [0.05, 0.61, float("nan")])
def test_phi_outside_the_range(file, phi):
    with pytest.raises(InputError, match=r"outside 0\.1 to 0\.6, the range of training"):
        Hypernetwork.open(file).predict(phi)


def test_another_file(tmp_path):
    path = tmp_path / "x.safetensors"
    path.write_bytes(b"no")
    with pytest.raises(ArtifactError, match="not a readable hypernetwork"):
        Hypernetwork.open(path)
    path.write_bytes(safetensors.numpy.save(tensors()))
    with pytest.raises(ArtifactError, match="holds no hypernetwork"):
        Hypernetwork.open(path)
    with pytest.raises(ArtifactError, match="not a readable"):
        Hypernetwork.open(tmp_path / "absent")


def test_a_layer_that_is_missing_or_does_not_fit(tmp_path):
    path = tmp_path / "h.safetensors"
    some = tensors()
    some.pop("heads.a_0.bias.bias")
    path.write_bytes(hypernetwork_bytes(SPEC, some))
    with pytest.raises(ArtifactError, match=r"has no heads\.a_0\.bias\.bias"):
        Hypernetwork.open(path)
    wrong = tensors() | {"hidden.2.weight": np.ones((7, 6), np.float32)}
    path.write_bytes(hypernetwork_bytes(SPEC, wrong))
    with pytest.raises(ArtifactError, match="layers that do not fit"):
        Hypernetwork.open(path).predict(0.3)
