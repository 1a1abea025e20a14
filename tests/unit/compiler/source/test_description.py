"""What a user states of a network is checked by running it; the rest is found that way."""

import json

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F  # noqa: N812

import edge_pipeline
from edge_pipeline.cli.main import main
from edge_pipeline.compiler.source.description import Description, described, read_description
from edge_pipeline.compiler.source.foreign import foreign_network
from edge_pipeline.compiler.source.opening import open_source
from edge_pipeline.compiler.source.reference import synthetic_inputs
from edge_pipeline.compiler.source.size_probe import SizeProbe
from edge_pipeline.errors import InputError
from edge_pipeline.proof.verify import verify_artifact
from tests.fakes import own_networks as own
from tests.selection import examples


def geometry_of(module, example=None, free_sizes=False, **stated):
    example = [torch.rand(1, 3, 96, 64)] if example is None else example
    network = foreign_network(module, example)
    return described(network, Description(**stated), free_sizes=free_sizes).geometry


@st.composite
def stacks(draw):
    """Convolutions, one after the other, and how far they see together."""
    kernels = draw(st.lists(st.sampled_from([1, 3, 5]), min_size=1, max_size=3))
    dilations = [draw(st.integers(1, 2)) for _ in kernels]
    layers = [
        nn.Conv2d(3, 3, kernel, padding=dilation * (kernel // 2), dilation=dilation)
        for kernel, dilation in zip(kernels, dilations, strict=True)
    ]
    reach = sum(d * (k // 2) for k, d in zip(kernels, dilations, strict=True))
    return nn.Sequential(*layers), reach


@examples(15)
@given(stacks())
def test_the_halo_is_the_sum_of_what_convolutions_see(stack):
    module, reach = stack
    found = geometry_of(module)
    assert (found.halo, found.stride, found.scale, found.minimum) == (reach, 1, 1, 1)


class _Coarse(nn.Module):
    """Half resolution twice, then back to the input's size, whatever that is."""

    def __init__(self):
        super().__init__()
        self.down = nn.Conv2d(3, 8, 2, stride=2)
        self.lower = nn.Conv2d(8, 8, 2, stride=2)
        self.out = nn.Conv2d(8, 3, 3, padding=1)

    def forward(self, x):
        y = self.out(torch.relu(self.lower(torch.relu(self.down(x)))))
        return F.interpolate(y, size=x.shape[2:], mode="nearest")


class _Attending(nn.Module):
    """A convolution whose weights depend on the mean of the input."""

    def __init__(self):
        super().__init__()
        self.kernels = nn.Parameter(torch.randn(4, 3, 3, 3, 3))
        self.gate = nn.Linear(3, 4)

    def forward(self, x):
        shares = self.gate(x.mean((2, 3)))[0].softmax(0)
        weight = (shares[:, None, None, None, None] * self.kernels).sum(0)
        return F.conv2d(x, weight, padding=1)


class _Gated(nn.Module):
    def forward(self, x):
        return x * x.mean((2, 3), keepdim=True)


class _Placed(nn.Module):
    def forward(self, x):
        return x + torch.linspace(0, 1, x.shape[3])


def test_a_network_that_takes_any_size_has_the_stride_at_which_tiles_are_exact():
    found = geometry_of(_Coarse())
    assert (found.stride, found.halo, found.scale) == (4, 4, 1)


def test_folding_measures_its_loss_at_the_size_of_the_example(tmp_path):
    torch.manual_seed(0)
    image = torch.rand(1, 3, 32, 48)
    artifact = edge_pipeline.compile(
        _Attending(), [image], tmp_path / "a", backend="onnx", filters="folded"
    )
    assert artifact.manifest.losses


def test_tiles_share_the_weights_that_were_computed_for_the_whole():
    found = geometry_of(_Attending())
    assert (found.stride, found.halo) == (1, 1)


def test_the_scale_of_an_enlarging_network():
    module = nn.Sequential(nn.Conv2d(3, 12, 3, padding=1), nn.PixelShuffle(2))
    found = geometry_of(module)
    assert (found.stride, found.halo, found.scale) == (1, 1, 2)


@pytest.mark.parametrize("module", [_Gated(), _Placed()])
def test_a_network_without_exact_tiles_has_no_halo(module):
    assert geometry_of(module).halo is None


def test_a_halo_beyond_the_smallest_size_that_is_probed():
    module = nn.Conv2d(3, 3, 81, padding=40)
    assert geometry_of(module, [torch.rand(1, 3, 128, 128)]).halo == 40


def test_a_network_that_reduces_the_size_has_no_tiles():
    found = geometry_of(nn.Conv2d(3, 4, 2, stride=2))
    assert (found.scale, found.halo) == (1, None)


@pytest.mark.parametrize(
    ("stated", "message"),
    [
        ({"halo": 2}, "states a halo of 2; an output pixel depends on 4 pixels around it"),
        ({"scale": 2}, "states a scale of 2; the outputs have 1 pixels"),
        ({"stride": 2, "halo": 4}, "stride of 2 .* the least that fits is 4"),
        ({"inputs": {"x": {"range": [0, 0.1]}}}, "gives x the range 0 to 0.1; .* to 1"),
        ({"inputs": {"y": {}}}, "has an input 'y'; the network has x"),
        ({"outputs": [{}, {}]}, "has 2 outputs; the network has 1"),
    ],
)
def test_a_wrong_statement_is_refused_with_what_was_found(stated, message):
    with pytest.raises(InputError, match=message):
        geometry_of(_Coarse(), **stated)


def test_a_halo_of_a_network_that_sees_everything_is_refused():
    with pytest.raises(InputError, match="depends on the whole input"):
        geometry_of(_Gated(), halo=8)


def test_tiles_of_vectors_are_refused():
    with pytest.raises(InputError, match="is float32 1x10, and stride"):
        geometry_of(own.classifier(), [torch.rand(1, 10)], halo=8)


def test_right_statements_are_kept():
    found = geometry_of(
        _Coarse(),
        stride=8,
        halo=16,
        minimum=32,
        scale=1,
        inputs={"x": {"meaning": "a photograph", "range": [0, 1], "space": "srgb"}},
        outputs=[{"name": "features"}],
    )
    assert (found.stride, found.halo, found.minimum) == (8, 16, 32)
    assert found.inputs[0].space == "srgb"
    assert found.outputs[0].name == "features"


def test_the_manifest_says_what_was_found_and_free_sizes_are_verified(tmp_path):
    artifact = edge_pipeline.compile(
        _Coarse(), [torch.rand(1, 3, 32, 48)], tmp_path / "a", backend="onnx", free_sizes=True
    )
    (program,) = artifact.manifest.programs
    assert program.inputs[0].shape == (1, 3, "4*h", "4*w")
    assert artifact.manifest.tile.stride == 4
    assert artifact.manifest.tile.halo == 4
    assert verify_artifact(artifact).verdict == "verified"


def test_free_sizes_are_refused_by_a_backend_with_fixed_ones(tmp_path):
    with pytest.raises(InputError, match="litert is compiled for fixed sizes"):
        edge_pipeline.compile(
            _Coarse(), [torch.rand(1, 3, 32, 48)], tmp_path / "a", backend="litert", free_sizes=True
        )


FILE = """
stride = 1
halo = {halo}
[card]
name = "film"
description = "A picture in the style of a vector."
training_data = []
licence = "MIT"
[inputs.image]
meaning = "a photograph"
space = "srgb"
range = [0, 1]
[[outputs]]
name = "picture"
"""


def _compile(tmp_path, halo):
    (tmp_path / "film.toml").write_text(FILE.format(halo=halo))
    source = ["compile", "tests.fakes.own_networks:Film", "--backend", "onnx"]
    inputs = ["--input", "image=1x3x32x48", "--input", "style=1x4"]
    described = ["--describe", str(tmp_path / "film.toml")]
    return main([*source, *inputs, *described, "-o", str(tmp_path / "film")])


def test_a_description_in_a_file_reaches_the_manifest(tmp_path):
    assert _compile(tmp_path, halo=3) == 0
    manifest = json.loads((tmp_path / "film/manifest.json").read_text())
    assert manifest["card"]["name"] == "film"
    assert manifest["tile"]["halo"] == 3
    (program,) = manifest["programs"]
    assert program["inputs"][0]["range"] == [0, 1]
    assert program["outputs"][0]["name"] == "picture"


def test_a_wrong_halo_in_a_file_ends_with_status_2(tmp_path, capsys):
    assert _compile(tmp_path, halo=0) == 2
    assert "states a halo of 0; an output pixel depends on" in capsys.readouterr().err
    assert not (tmp_path / "film").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("halo = -1", "halo: Input should be greater than or equal to 0"),
        ("hallo = 1", "hallo: Extra inputs are not permitted"),
        ("halo", "is not TOML"),
    ],
)
def test_a_wrong_file_is_refused(tmp_path, text, message):
    (tmp_path / "d.toml").write_text(text)
    with pytest.raises(InputError, match=message):
        read_description(tmp_path / "d.toml")
    with pytest.raises(InputError, match="cannot be read"):
        read_description(tmp_path / "none.toml")


def test_a_probe_needs_a_map_of_one_picture():
    assert SizeProbe.fits(foreign_network(_Gated(), [torch.rand(1, 3, 8, 8)]))
    assert not SizeProbe.fits(foreign_network(own.classifier(), [torch.rand(1, 10)]))


REGISTERED = {
    "hyperconv_isp": {"width": 8, "coarse": 12, "n_basis": 2},
    "patchwise_block": {},
}


@pytest.mark.parametrize("name", REGISTERED)
def test_registered_networks_state_what_is_found(name):
    network = open_source(name, REGISTERED[name])
    geometry = network.geometry
    least = 2 * (geometry.halo + geometry.stride) + 1
    side = -(-least // geometry.stride) * geometry.stride
    network = network.sized(synthetic_inputs(geometry, side, side), free_sizes=False)
    probe = SizeProbe(network)
    assert probe.scale == geometry.scale
    reach = probe.reach(least, geometry.stride)
    # Where the halves meet at a multiple of the stride, it is a little less than elsewhere.
    assert geometry.halo - 2 * geometry.stride < reach <= geometry.halo
    assert probe.is_exact(geometry.stride, geometry.halo)
    assert probe.minimum(geometry.stride) <= geometry.minimum
