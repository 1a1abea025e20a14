"""Streaming over tiles equals the whole picture, for any size and any tiles."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from edge_pipeline.compiler.source import entries, streaming
from edge_pipeline.compiler.source.streaming import stage_entries
from edge_pipeline.errors import InputError
from edge_pipeline.models.base import build_model
from edge_pipeline.models.network import Port
from edge_pipeline.runtime.streaming import Picture, streamed_filters
from tests.programs import lively, network_of

NETWORKS = {
    "isp": ("hyperconv_isp", {"width": 8, "coarse": 8, "n_basis": 2}),
    "published": ("hyperconv_unet", {"n_fwd": 4, "n_embed": 2, "n_hid": 4}),
    "shuffle": ("hyperconv_unet", {"n_fwd": 4, "n_embed": 2, "n_hid": 4, "head": "shuffle"}),
}


class Spec:
    """The manifest's entry for a program, as far as streaming reads it."""

    def __init__(self, entry):
        self.entry = entry
        self.inputs = [
            Role(role.name, tuple(value.shape))
            for role, value in zip(entry.inputs, entry.example, strict=True)
        ]


class Role:
    def __init__(self, name, shape):
        self.name, self.shape = name, shape


class Staged:
    """A stage of programs that eager runs."""

    def __init__(self, stage):
        self.maps, self.filters = Spec(stage.maps), Spec(stage.filters)
        self.reductions, self.strides, self.halo = stage.reductions, stage.strides, stage.halo


def run(spec, inputs):
    values = tuple(torch.from_numpy(inputs[role.name]) for role in spec.entry.inputs)
    outputs = spec.entry.run(values)
    return {
        role.name: value.numpy() for role, value in zip(spec.entry.outputs, outputs, strict=True)
    }


# The two heads have the same predictors.
@pytest.fixture(
    scope="module", params=["isp", pytest.param("published", marks=pytest.mark.slow), "shuffle"]
)
def network(request):
    torch.manual_seed(0)
    name, options = NETWORKS[request.param]
    model = lively(build_model(name, options)).eval()
    return network_of(model, (torch.rand(1, 4, 64, 96),), free_sizes=True)


@pytest.fixture(scope="module")
def stages(network):
    return [Staged(stage) for stage in stage_entries(network)]


@pytest.fixture(scope="module")
def predictor(network):
    return entries.predictor(network)


@settings(max_examples=8, deadline=None)
@given(
    height=st.integers(2, 24),
    width=st.integers(2, 24),
    largest=st.integers(1, 400),
    seed=st.integers(0, 9),
)
def test_streamed_filters_equal_those_of_the_whole(
    network, stages, predictor, height, width, largest, seed
):
    stride = 16
    size = (stride * height, stride * width)
    picture = torch.rand(1, 4, *size, generator=torch.Generator().manual_seed(seed))
    cut = Picture(
        "packed",
        size,
        lambda rows, columns: picture[:, :, rows, columns].contiguous().numpy(),
        network.geometry.stride,
        -(-network.geometry.minimum // network.geometry.stride) * network.geometry.stride,
        largest,
    )
    found = streamed_filters(stages, run, cut)
    roles, values = predictor.outputs, predictor.run((picture,))
    assert {role.name for role in roles} == found.keys()
    for role, expected in zip(roles, values, strict=True):
        scale = max(1e-3, float(expected.abs().max()))
        assert abs(found[role.name] - expected.numpy()).max() <= 1e-5 * scale, role.name


class Conditioned(nn.Module):
    """A network whose filter depends on the picture by a reduction of choice."""

    stride, min_size, scale, halo = 2, 8, 1, 4
    default_size, free_sizes = (32, 32), True
    inputs = outputs = (Port("packed", 4, "a capture", "packed_bayer_white_balanced"),)

    def __init__(self, reduce):
        super().__init__()
        self.embed = nn.Conv2d(4, 4, 3, stride=2, padding=1)
        self.reduce = reduce

    def forward(self, x):
        weight = self.reduce(self.embed(x)).reshape(4, 1, 1, 1)
        return torch.conv2d(x, weight.expand(4, 1, 1, 1), groups=4)


def test_a_reduction_that_tiles_cannot_compute_is_named():
    network = network_of(
        Conditioned(lambda y: y.std((2, 3))), (torch.rand(1, 4, 32, 32),), free_sizes=True
    )
    with pytest.raises(InputError, match=r"reduces the picture by (var|std).*maxima, minima and"):
        stage_entries(network)


def test_a_map_that_sees_any_distance_is_refused(monkeypatch):
    monkeypatch.setattr(streaming, "_LARGEST_SIDE", 64)
    network = network_of(
        Conditioned(lambda y: y.cumsum(3).amax((2, 3))),
        (torch.rand(1, 4, 32, 32),),
        free_sizes=True,
    )
    with pytest.raises(InputError, match="depend on inputs at any distance"):
        stage_entries(network)


def test_fixed_sizes_are_refused():
    network = network_of(Conditioned(lambda y: y.amax((2, 3))), (torch.rand(1, 4, 32, 32),))
    with pytest.raises(InputError, match="one input with free sizes"):
        stage_entries(network)
