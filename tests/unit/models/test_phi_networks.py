"""The networks of appendix C: every size, phi and option, and what a network costs."""

import copy
from functools import cache

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from edge_pipeline.errors import InputError
from edge_pipeline.models.amortised import Amortised
from edge_pipeline.models.base import build_model, fresh_model, options_of
from edge_pipeline.models.cost import cost_of, cost_of_name
from edge_pipeline.models.layers.rescaling import sizes_of
from edge_pipeline.models.segmenter import VariableResolution
from edge_pipeline.registry import MODELS
from tests.selection import examples

NETWORKS = ["phi_fpn", "phi_psp", "phi_residual_unet", "phi_se_unet", "phi_unet"]
SMALL = {"encoder": "4-6-8", "out_channels": 2, "hidden2": 8}
OWN = {
    "phi_fpn": {"pyramid": 5},
    "phi_se_unet": {"decoder": "5-3", "reduction": 2},
    **{name: {"decoder": "5-3"} for name in ("phi_psp", "phi_residual_unet", "phi_unet")},
}
PHIS = st.integers(1, 100).map(lambda n: n / 100)


def options(name, **changes):
    return {**SMALL, **OWN[name], **changes}


def build(name, **changes):
    return fresh_model(name, options(name, **changes))


@cache
def kept(name, **changes):
    """A network that several examples share."""
    return build(name, **changes)


def macs(name, phi, **changes):
    """The cost of a picture of 33 x 47; the baseline costs what the hypernetwork's network does."""
    return cost_of(kept(name, hyper=False, **changes), (1, 3, 33, 47), {"phi": phi}).macs


def test_all_networks_of_this_kind_are_here():
    named = {name for name in MODELS.names() if name.startswith("phi_")}
    assert named == {*NETWORKS, "phi_unet_oasis", "phi_unet_pets"}


@pytest.mark.parametrize("name", NETWORKS)
@given(
    phi=PHIS,
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    hyper=st.booleans(),
    rescaled=st.sampled_from(["maps", "picture"]),
)
@examples(100, 10)
def test_every_size_and_phi_gives_a_map_of_the_input_s_size(
    name, phi, height, width, hyper, rescaled
):
    model = kept(name, hyper=hyper, rescaled=rescaled)
    with torch.no_grad():
        out = model(torch.rand(2, 3, height, width), phi)
    assert out.shape == (2, 2, height, width)
    assert out.isfinite().all()


@pytest.mark.parametrize("name", NETWORKS)
@given(phis=st.tuples(PHIS, PHIS), height=st.integers(1, 40), width=st.integers(1, 40))
@examples(100, 10)
def test_separate_factors_set_the_size_of_each_level(name, phis, height, width):
    model = copy.deepcopy(kept(name, separate=True))
    seen = []
    for level in (1, 2):
        stage = model.network.get_submodule(f"encoder{level}")
        stage.register_forward_hook(lambda _m, _x, y: seen.append(tuple(y.shape[2:])))
    with torch.no_grad():
        out = model(torch.rand(2, 3, height, width), phis)
        same = model(torch.rand(2, 3, height, width), "-".join(map(str, phis)))
    assert out.shape == same.shape == (2, 2, height, width)
    assert seen == 2 * sizes_of(height, width, phis, 3)[1:]


@pytest.mark.parametrize("name", NETWORKS)
@given(phis=st.tuples(PHIS, PHIS), rescaled=st.sampled_from(["maps", "picture"]))
@examples(50, 3)
def test_the_cost_falls_with_phi(name, phis, rescaled):
    low, high = (macs(name, phi, rescaled=rescaled) for phi in sorted(phis))
    assert 0 < low <= high


@pytest.mark.parametrize("name", NETWORKS)
@given(first=PHIS, others=st.tuples(PHIS, PHIS), level=st.integers(0, 1))
@examples(50, 3)
def test_the_cost_falls_with_each_separate_factor(name, first, others, level):
    def cost(phi):
        phis = [*others]
        phis[level] = phi
        return macs(name, "-".join(map(str, phis)), separate=True)

    low, high = sorted([first, others[level]])
    assert 0 < cost(low) <= cost(high)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_cost_of_the_network_does_not_depend_on_the_wrapper(name):
    shape, fixed = (3, 33, 47), {"phi": 0.4}
    hyper = cost_of_name(name, options(name), shape, fixed)
    plain = cost_of_name(name, options(name, hyper=False), shape, fixed)
    assert hyper.path.macs == plain.macs
    assert {layer.op for layer in plain.layers} == {"conv2d"}
    assert {layer.op for layer in hyper.layers if layer.part == "path"} == {"dynamic_conv2d"}


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("rescaled", ["maps", "picture"])
def test_the_baseline_with_the_predicted_weights_is_the_same_network(name, rescaled):
    model = build(name, rescaled=rescaled)
    plain = build(name, rescaled=rescaled, hyper=False)
    plain.load_state_dict(model.weights(0.3))
    x = torch.rand(1, 3, 12, 17)
    assert torch.equal(plain(x, 0.3), model(x, 0.3))


@pytest.mark.parametrize("name", NETWORKS)
def test_every_parameter_is_predicted_and_every_prediction_is_used(name):
    torch.manual_seed(0)
    model = build(name)
    assert isinstance(model, Amortised)
    assert not list(model.network.parameters())
    weights = {key: w.detach().requires_grad_() for key, w in model.weights(0.7).items()}
    out = torch.func.functional_call(model.network, weights, (torch.rand(2, 3, 24, 31), 0.7))
    out.square().sum().backward()
    unused = [key for key, w in weights.items() if w.grad is None or not w.grad.any()]
    assert unused == []


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("phi", [0.1, 0.5, 1.0])
def test_fresh_outputs_depend_on_the_picture(name, phi):
    model = fresh_model(name, {"hidden2": 8}, seed=1)
    x = torch.rand(3, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    x = torch.nn.functional.interpolate(x, size=(24, 32), mode="bilinear")
    with torch.no_grad():
        y = model(x, phi)
    assert float(y.std(0).mean()) > 0.01 * float(y.abs().max())


@pytest.mark.parametrize("name", NETWORKS)
def test_one_level_is_a_network_without_rescaling(name):
    changes = {"encoder": "4"} | ({"decoder": ""} if "decoder" in OWN[name] else {})
    model = build(name, **changes)
    plain = build(name, **changes, hyper=False)
    x = torch.rand(1, 3, 5, 7)
    with torch.no_grad():
        assert model(x, 0.5).shape == (1, 2, 5, 7)
        assert torch.equal(plain(x, 0.1), plain(x, 0.9))


def test_the_variable_resolution_baseline_is_the_network_at_half_of_a_smaller_picture():
    plain = build("phi_unet", hyper=False, rescaled="picture")
    assert isinstance(plain, VariableResolution)
    at_half = build("phi_unet", hyper=False)
    at_half.load_state_dict(plain.network.state_dict())
    x = torch.rand(1, 3, 20, 31)
    with torch.no_grad():
        small = nn.functional.interpolate(x, (7, 10), mode="bilinear")
        scores = nn.functional.interpolate(at_half(small, 0.5), (20, 31), mode="bilinear")
        assert torch.equal(plain(x, 0.35), scores)
    full = cost_of_name("phi_unet", options("phi_unet"), (3, 20, 31), {"phi": 0.35})
    cost = cost_of_name(
        "phi_unet", options("phi_unet", rescaled="picture"), (3, 20, 31), {"phi": 0.35}
    )
    assert cost.path.macs < full.path.macs / 2  # its finest level is smaller too


def test_squeeze_and_excitation_weighs_channels_by_their_means():
    model = build("phi_se_unet", hyper=False)
    layer = model.encoder0[1]
    x = torch.rand(2, 4, 5, 6)
    factors = layer(x) / x
    assert torch.allclose(factors, factors[:, :, :1, :1].expand_as(x))
    assert factors.min() > 0
    assert factors.max() < 1
    turned = x.flip(2).roll(3, 3)  # other places, same means
    assert torch.allclose(layer(turned) / turned, factors)
    assert layer.squeeze.out_channels == 2


def test_pyramid_pooling_gives_a_map_of_one_pixel_to_every_pixel():
    model = build("phi_psp", hyper=False)
    x = torch.rand(1, 3, 40, 40)
    x.requires_grad_()
    model(x, 0.5)[0, :, 0, 0].sum().backward()
    assert x.grad.abs().sum(1).ne(0).float().mean() > 0.9  # a UNet's corner sees less

    unet = build("phi_unet", hyper=False)
    x.grad = None
    unet(x, 0.5)[0, :, 0, 0].sum().backward()
    assert x.grad.abs().sum(1).ne(0).float().mean() < 0.9


@pytest.mark.parametrize(
    ("name", "changes", "words"),
    [
        ("phi_fpn", {"pyramid": 0}, "pyramid=0 must be at least 1"),
        ("phi_se_unet", {"reduction": 0}, "reduction=0 must be at least 1"),
        ("phi_fpn", {"encoder": ""}, "encoder is empty"),
        ("phi_fpn", {"decoder": "4"}, "phi_fpn has no option 'decoder'"),
        ("phi_fpn", {"encoder": "4", "separate": True}, "requires at least two encoder stages"),
        ("phi_unet", {"separate": True, "rescaled": "picture"}, "and rescaled=maps"),
        ("phi_unet", {"rescaled": "both"}, "rescaled=both must be one of maps, picture"),
    ],
)
def test_options_that_make_no_network_are_refused(name, changes, words):
    with pytest.raises(InputError, match=words):
        options_of(name, changes)


@pytest.mark.parametrize("phi", ["0.3", "0.3-0.4-0.5", "0.3-1.5", "0.3-0", "0.3-x", "0.3--0.2"])
def test_separate_factors_are_as_many_as_rescalings(phi):
    model, x = build("phi_fpn", separate=True), torch.rand(1, 3, 8, 8)
    if phi == "0.3":
        assert torch.equal(model(x, phi), model(x, (0.3, 0.3)))
        return
    with pytest.raises(InputError, match=f"phi={phi} "):
        model(x, phi)


@pytest.mark.parametrize("name", NETWORKS)
def test_every_option_changes_the_network(name):
    """No option is without effect."""
    small = {"encoder": "8-16"} | ({"decoder": "8"} if "decoder" in OWN[name] else {})
    changed = {"in_channels": 1, "out_channels": 2, "encoder": "8-12", "decoder": "6"}
    changed |= {"hidden1": 11, "hidden2": 99, "pyramid": 16, "reduction": 2, "hyper": False}
    changed |= {"phi_min": 0.1, "phi_max": 0.9, "height": 100, "width": 100, "align_corners": True}
    # Separate factors differ from one factor only if there are two of them.
    deep = {"encoder": "8-16-8"} | ({"decoder": "8-8"} if "decoder" in OWN[name] else {})

    def seen(given):
        with torch.device("meta"):
            model = build_model(name, given)
        inner = getattr(model, "network", model)
        shapes = {key: value.shape for key, value in model.state_dict().items()}
        kinds = type(model).__name__, type(inner).__name__
        return kinds, shapes, model.phi_range, model.default_size, inner.options.align_corners

    before = seen(small)
    options = set(options_of(name, small)) - {"separate", "rescaled"}
    assert [key for key in options if seen({**small, key: changed[key]}) == before] == []
    assert seen({**deep, "separate": True}) != seen(deep)
    assert seen({**deep, "rescaled": "picture"}) != seen(deep)
