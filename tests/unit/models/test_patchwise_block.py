import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode

from edge_pipeline.errors import InputError
from edge_pipeline.models.base import build_model
from edge_pipeline.models.layers.patchwise import PatchwiseConv2d, WeightMapper, merge, split
from tests.selection import examples


@examples(20)
@given(
    grid=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    patch=st.tuples(st.integers(2, 5), st.integers(2, 5)),
    halo=st.integers(0, 1),
)
def test_merging_what_was_split_gives_the_map_back(grid, patch, halo):
    x = torch.rand(2, 3, grid[0] * patch[0], grid[1] * patch[1])
    patches = split(x, grid, halo)
    inner = patches[:, :, halo : halo + patch[0], halo : halo + patch[1]]
    assert torch.equal(merge(inner, grid), x)


def test_a_halo_is_the_neighbours_border_and_a_reflection_at_the_edge():
    x = torch.arange(24.0).reshape(1, 1, 4, 6)
    patches = split(x, (2, 2), 1)
    assert patches[0, 0, -1, 1:-1].tolist() == x[0, 0, 2, :3].tolist()
    assert patches[0, 0, 1:-1, -1].tolist() == x[0, 0, :2, 3].tolist()
    assert patches[0, 0, 0, 1:-1].tolist() == x[0, 0, 1, :3].tolist()
    assert patches[3, 0, 0, 0] == x[0, 0, 1, 2]


def test_a_mapper_whose_groups_do_not_divide_the_weights_gives_all_of_them():
    layers = (PatchwiseConv2d(3, 5), PatchwiseConv2d(5, 5, 3, groups=5))
    mapper = WeightMapper(8, layers, groups=4)
    first, second = mapper(torch.rand(2, 8, 3, 2))
    assert first.shape == (12, 15)
    assert second.shape == (12, 45)


def test_fresh_weights_keep_the_size_of_the_signal():
    layer = PatchwiseConv2d(16, 16, 3)
    (weight,) = WeightMapper(64, (layer,), groups=4)(torch.randn(1, 64, 8, 8))
    assert float(weight.detach().std()) == pytest.approx((2 / (9 * 16)) ** 0.5, rel=0.1)


@pytest.mark.parametrize(("halo", "gflop"), [("block", 0.65), ("layer", 0.61)])
def test_the_default_block_costs_what_the_figures_say(halo, gflop):
    with torch.device("meta"):
        model = build_model("patchwise_block", {"halo": halo})
    shapes = [port.shape(*model.default_size) for port in model.inputs]
    with FlopCounterMode(display=False) as counter:
        model(*(torch.empty(shape, device="meta") for shape in shapes))
    assert counter.get_total_flops() / 1e9 == pytest.approx(gflop, abs=0.005)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"in_channels": 0}, "in_channels=0"),
        ({"kernel": 5}, "kernel=5"),
        ({"patch": 1}, "patch=1"),
        ({"signal_channels": 12, "groups": 8}, "signal_channels=12 .* groups=8"),
        ({"halo": "none"}, "halo=none"),
    ],
)
def test_options_it_cannot_take_are_refused(options, words):
    with pytest.raises(InputError, match=words):
        build_model("patchwise_block", options)


@pytest.mark.parametrize("kernel", [1, 3])
def test_with_the_same_weights_in_every_patch_it_is_the_ordinary_block(kernel):
    options = {"in_channels": 3, "signal_channels": 2, "patch": 4, "groups": 1, "kernel": kernel}
    ordinary = build_model("patchwise_block", options | {"hyper": False}, seed=1)
    block = build_model("patchwise_block", options | {"halo": "layer"})
    layers = [ordinary.pw1, ordinary.dw, ordinary.pw2] if kernel == 3 else [ordinary.pw1]
    flat = torch.cat([layer.weight.detach().flatten() for layer in layers])
    block.mapper.conv.weight.data = torch.stack([flat, 0 * flat], 1)[..., None, None]
    features = torch.randn(1, 3, 8, 12)
    with torch.no_grad():
        difference = block(features, torch.ones(1, 2, 2, 3)) - ordinary(features)
    # They pad otherwise.
    assert float(difference[..., 1:-1, 1:-1].abs().max()) < 1e-5
