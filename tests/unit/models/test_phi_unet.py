"""Sizes, the range of phi, and that a network is what its options say."""

import itertools
from decimal import Decimal

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from edge_pipeline.errors import InputError
from edge_pipeline.models.base import build_model, options_of
from edge_pipeline.models.layers.rescaling import sizes_of
from tests.phi import loud, ordinary
from tests.selection import examples

SMALL = {"encoder": "4-6-8", "decoder": "5-3", "out_channels": 2}


@given(
    height=st.integers(1, 1 << 14),
    width=st.integers(1, 1 << 14),
    phi=st.integers(0, 10_000).map(lambda n: n / 10_000),
    levels=st.integers(1, 6),
)
def test_sizes_are_the_floor_in_decimal_arithmetic(height, width, phi, levels):
    exact = Decimal(str(phi))
    sizes = sizes_of(height, width, phi, levels)
    assert sizes[0] == (height, width)
    assert len(sizes) == levels
    for before, after in itertools.pairwise(sizes):
        assert after == tuple(max(1, int(side * exact)) for side in before)


def test_sizes_are_guarded_against_binary_error():
    assert 90 * 0.7 < 63  # what the guard is for
    assert sizes_of(90, 180, 0.7, 3) == [(90, 180), (63, 126), (44, 88)]
    assert sizes_of(20, 40, 0.35, 3) == [(20, 40), (7, 14), (2, 4)]
    assert sizes_of(3, 5, 0.1, 3) == [(3, 5), (1, 1), (1, 1)]


@given(
    phi=st.integers(1, 60).map(lambda n: n / 100),
    height=st.integers(1, 40),
    width=st.integers(1, 40),
)
@examples(40)
def test_every_size_and_phi_gives_a_map_of_the_input_s_size(phi, height, width):
    model = loud(build_model("phi_unet_pets", SMALL))
    with torch.no_grad():
        out = model(torch.rand(2, 3, height, width), phi)
    assert out.shape == (2, 2, height, width)
    assert out.isfinite().all()


@pytest.mark.parametrize("phi", [0, -0.01, 0.61, float("nan"), float("inf"), "0.7"])
def test_a_phi_that_was_not_trained_is_refused(phi):
    model, x = build_model("phi_unet_pets", SMALL), torch.rand(1, 3, 8, 8)
    with pytest.raises(InputError, match=rf"phi={phi} is outside the range 0.0 to 0.6"):
        model(x, phi)


@pytest.mark.parametrize("phi", ["much", "", "0.2-", None, torch.rand(2)])
def test_a_phi_that_is_not_a_number_is_refused(phi):
    model, x = build_model("phi_unet_pets", SMALL), torch.rand(1, 3, 8, 8)
    with pytest.raises(InputError, match=r"phi=\S* (must be a number from 0.0 to|has 2 factors)"):
        model(x, phi)


def test_the_bounds_themselves_are_taken():
    model = build_model("phi_unet_pets", {**SMALL, "phi_min": 0.2, "phi_max": 0.4})
    for phi in (0.2, 0.4):
        model(torch.rand(1, 3, 8, 8), phi)


def test_weights_have_the_layers_shapes_and_follow_phi():
    model = build_model("phi_unet_pets", SMALL)
    low, high = (model.hypernetwork(torch.tensor([phi])) for phi in (0.1, 0.6))
    assert low["encoder0.0.weight"].shape == (4, 3, 3, 3)
    assert low["decoder1.0.weight"].shape == (5, 6 + 8, 3, 3)
    assert low["classify.weight"].shape == (2, 3, 1, 1)
    assert low["classify.bias"].shape == (2,)
    assert all(not torch.equal(low[name], high[name]) for name in low)


def test_the_baseline_with_the_same_weights_is_the_same_network():
    model, x = loud(build_model("phi_unet_pets", SMALL)), torch.rand(1, 3, 12, 17)
    assert torch.equal(ordinary(model, SMALL, 0.3)(x, 0.3), model(x, 0.3))


def test_corners_are_aligned_only_where_asked():
    plain = loud(build_model("phi_unet_pets", SMALL, seed=1))
    aligned = build_model("phi_unet_pets", {**SMALL, "align_corners": True})
    aligned.load_state_dict(plain.state_dict())
    x = torch.rand(1, 3, 12, 17)
    assert (plain(x, 0.5) - aligned(x, 0.5)).abs().max() > 1e-2


def test_hypernetwork_starts_as_the_paper_says():
    """Kaiming, fan out: each group's spread goes by its own size; biases are zero."""
    net = build_model("phi_unet_pets", SMALL, seed=5).hypernetwork
    for name, parameter in net.named_parameters():
        if name.endswith("bias"):
            assert not parameter.any()
    for name in ("encoder0.0.weight", "decoder1.0.weight"):
        head = net.heads.get_submodule(name)
        spread = head.weight.detach().std() * head.out_features**0.5
        assert abs(float(spread) - 1) < 0.05
    spread = float(net.hidden[2].weight.detach().std()) * (100 / 2) ** 0.5
    assert abs(spread - 1) < 0.1


def test_registered_networks_say_what_they_take():
    for name, channels, classes, size, highest in (
        ("phi_unet_pets", 3, 1, (192, 256), 0.6),
        ("phi_unet_oasis", 1, 25, (160, 192), 1.0),
    ):
        with torch.device("meta"):
            model = build_model(name)
        assert model.phi_range == (0.0, highest)
        assert model.default_size == size
        assert [port.shape(*size) for port in model.inputs] == [(1, channels, *size)]
        assert [port.shape(*size) for port in model.outputs] == [(1, classes, *size)]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"encoder": "16-x"}, "encoder=16-x must be channels"),
        ({"encoder": "16-0"}, "encoder=16-0 must be channels"),
        ({"encoder": ""}, "encoder is empty"),
        ({"decoder": "8-4"}, "decoder=8-4 has 2 stages, and the 5 of .* require 4"),
        ({"phi_min": 0.7}, "phi_min=0.7 and phi_max=0.6"),
        ({"phi_max": 1.5}, "phi_max=1.5"),
        ({"out_channels": 0}, "out_channels=0 must be at least 1"),
        ({"hidden1": 0}, "hidden1=0"),
    ],
)
def test_options_that_make_no_network_are_refused(options, words):
    with pytest.raises(InputError, match=words):
        options_of("phi_unet_pets", options)
