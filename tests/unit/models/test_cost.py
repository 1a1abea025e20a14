"""Counts against torch's own counter, against fvcore, and against arithmetic by hand."""

import logging

import pytest
import torch
from fvcore.nn import FlopCountAnalysis
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from edge_pipeline.errors import InputError
from edge_pipeline.models.base import build_model
from edge_pipeline.models.cost import cost_of, cost_of_name
from edge_pipeline.models.network import Port
from tests.selection import examples

SMALL = {"n_fwd": 8, "n_embed": 4, "n_hid": 16}
FORMS = [
    {**SMALL},
    {**SMALL, "head": "shuffle"},
    {**SMALL, "hyper": False},
    {**SMALL, "hyper": False, "head": "shuffle"},
]


@pytest.mark.parametrize("options", FORMS)
def test_total_is_what_torchs_counter_sees_on_real_tensors(options):
    model = build_model("hyperconv_unet", options)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(torch.zeros(1, 4, 64, 96))
    assert cost_of(model, (1, 4, 64, 96)).flops == counter.get_total_flops()


@pytest.mark.parametrize("options", FORMS)
def test_convolutions_and_linears_are_what_fvcore_sees(options):
    logging.getLogger("fvcore").setLevel(logging.ERROR)
    model = build_model("hyperconv_unet", options)
    analysis = FlopCountAnalysis(model, torch.zeros(1, 4, 64, 64))
    analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
    by_op = analysis.by_operator()
    # fvcore's flop is one multiply-accumulate.
    assert cost_of(model, (1, 4, 64, 64)).macs == by_op["conv"] + by_op.get("linear", 0)


@pytest.mark.parametrize("options", FORMS)
def test_parameters_are_the_networks_and_parts_are_disjoint(options):
    model = build_model("hyperconv_unet", options)
    cost = cost_of(model, (1, 4, 64, 64))
    assert cost.params == sum(p.numel() for p in model.parameters())
    assert cost.predictor.params + cost.path.params == cost.params
    assert cost.predictor.macs + cost.path.macs == cost.macs
    assert len({layer.name for layer in cost.layers}) == len(cost.layers)


def test_predictors_are_what_applying_filters_leaves_out():
    model = build_model("hyperconv_unet", SMALL)
    x = torch.zeros(1, 4, 64, 64)
    with torch.no_grad():
        filters = model.predict_filters(x)
        with FlopCounterMode(display=False) as counter:
            model.apply_filters(x, filters)
    cost = cost_of(model, tuple(x.shape))
    assert cost.path.flops == cost.path_only().flops == counter.get_total_flops()
    assert cost.predictor.macs > 0
    assert {layer.name.partition(".")[0] for layer in cost.layers if layer.part == "predictor"} >= {
        "embed",
        "embed2",
        "embed4",
        "embed8",
    }


def test_run_time_weights_are_told_from_constant_ones():
    layers = cost_of_name("hyperconv_unet", SMALL, (4, 64, 64)).layers
    ops = {layer.name: layer.op for layer in layers}
    assert ops["hyper_conv0"] == "dynamic_conv2d"
    assert ops["embed.0"] == "conv2d"
    assert ops["hyper_conv0.outf.0"] == "linear"
    ablated = cost_of_name("hyperconv_unet", {**SMALL, "hyper": False}, (4, 64, 64)).layers
    assert {layer.op for layer in ablated} == {"conv2d"}


def test_output_shapes_are_the_layers():
    layers = cost_of_name("hyperconv_unet", SMALL, (4, 64, 96)).layers
    shapes = {layer.name: layer.output_shape for layer in layers}
    assert shapes["hyper_conv0"] == (1, 8, 64, 96)
    assert shapes["hyper_conv4"] == (1, 3, 128, 192)
    assert shapes["hyper_conv1_16"] == (1, 4, 4, 6)


def test_the_network_is_left_as_it_was():
    model = build_model("hyperconv_unet", SMALL)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    cost_of(model, (1, 4, 1536, 2048))
    after = model.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_a_model_too_large_for_memory_is_counted():
    # The predictor of one convolution's filters has n_hid * 9 * n_fwd^2 weights: terabytes.
    cost = cost_of_name("hyperconv_unet", {"n_hid": 4096, "n_fwd": 4096}, (4, 32, 32))
    assert cost.params > 4096 * 9 * 4096**2


@given(
    channels=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    groups=st.integers(1, 3),
    kernel=st.integers(1, 4),
    stride=st.integers(1, 3),
    dilation=st.integers(1, 2),
    side=st.integers(9, 14),
)
@examples(30)
def test_a_convolutions_macs_are_its_taps_times_its_outputs(
    channels, groups, kernel, stride, dilation, side
):
    n_in, n_out = channels[0] * groups, channels[1] * groups
    layer = nn.Conv2d(n_in, n_out, kernel, stride, groups=groups, dilation=dilation)
    places = (side - dilation * (kernel - 1) - 1) // stride + 1
    cost = cost_of(nn.Sequential(layer), (1, n_in, side, side))
    assert cost.macs == places**2 * n_out * (n_in // groups) * kernel**2


def test_a_transposed_convolutions_macs_are_its_taps_times_its_inputs():
    model = nn.Sequential(nn.ConvTranspose2d(6, 4, 3, stride=2, groups=2))
    assert cost_of(model, (1, 6, 5, 7)).macs == 5 * 7 * 6 * (4 // 2) * 9


def test_shared_and_idle_parameters_count_once():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = nn.Conv2d(2, 2, 3, padding=1)
            self.second = nn.Conv2d(2, 2, 3, padding=1)
            self.second.weight = self.first.weight
            self.norm = nn.BatchNorm2d(2)
            self.unused = nn.Linear(3, 5)

        def forward(self, x):
            return self.norm(self.second(self.first(self.first(x))))

    model = Tied()
    cost = cost_of(model, (1, 2, 8, 8))
    assert cost.params == sum(p.numel() for p in model.parameters()) == 36 + 2 + 2 + 4 + 20
    rows = {layer.name: layer for layer in cost.layers}
    assert rows["first"].macs == 2 * rows["second"].macs == 2 * 64 * 36
    assert rows["unused"].macs == 0


@pytest.mark.parametrize(
    ("shape", "word"),
    [((4, 100, 128), "100"), ((4, 16, 128), "16"), ((3, 64, 64), "3"), ((4, 64), "4x64")],
)
def test_a_shape_that_the_network_does_not_take_is_refused(shape, word):
    with pytest.raises(InputError, match=word):
        cost_of_name("hyperconv_unet", SMALL, shape)


def test_torchs_own_refusal_is_put_in_a_sentence():
    with pytest.raises(InputError, match="does not accept an input of 1x3x8x8"):
        cost_of(nn.Sequential(nn.Conv2d(4, 4, 3)), (1, 3, 8, 8))


class Sum(nn.Module):
    """Two inputs, of which the second has a quarter of the rows and columns."""

    inputs = (
        Port("image", 3, "a picture", "srgb"),
        Port("signal", 5, "a signal", "features", per=4),
    )

    def __init__(self):
        super().__init__()
        self.fine, self.coarse = nn.Conv2d(3, 2, 1), nn.Conv2d(5, 2, 1)

    def forward(self, image, signal):
        return self.fine(image).mean((2, 3)) + self.coarse(signal).mean((2, 3))


def test_further_inputs_follow_from_the_first():
    cost = cost_of(Sum(), (1, 3, 16, 24))
    assert {layer.name: layer.macs for layer in cost.layers} == {
        "fine": 16 * 24 * 3 * 2,
        "coarse": 4 * 6 * 5 * 2,
    }
    with pytest.raises(InputError, match="expects 3 channels and the input 4x16x24 has 4"):
        cost_of(Sum(), (1, 4, 16, 24))


def test_phi_sets_the_cost_and_the_hypernetwork_is_the_predictor():
    options = {"encoder": "4-6", "decoder": "3"}
    cost = cost_of_name("phi_unet_pets", options, (3, 10, 20), {"phi": 0.35})
    layers = {layer.name: layer for layer in cost.layers}
    assert layers["network.encoder1.0"].macs == 3 * 7 * 9 * 4 * 6
    assert layers["network.encoder1.0"].op == "dynamic_conv2d"
    assert {layer.name.split(".")[0] for layer in cost.layers if layer.part == "predictor"} == {
        "hypernetwork"
    }
    plain = cost_of_name("phi_unet_pets", {**options, "hyper": False}, (3, 10, 20), {"phi": 0.35})
    assert {layer.op for layer in plain.layers} == {"conv2d"}
    assert plain.macs == cost.path.macs


@pytest.mark.parametrize(
    ("name", "fixed", "words"),
    [
        ("phi_unet_pets", {}, "requires phi, which has no value; give --fix phi=VALUE"),
        ("phi_unet_pets", {"phi": 0.7}, "phi=0.7 is outside the range 0.0 to 0.6"),
        ("phi_unet_pets", {"phi": 0.5, "x": 1}, "an input of Amortised cannot be fixed"),
        ("hyperconv_unet", {"phi": 0.5}, "forward has no parameter 'phi' to fix; it has x"),
    ],
)
def test_a_value_that_is_missing_or_not_taken_is_refused(name, fixed, words):
    channels = {"phi_unet_pets": 3, "hyperconv_unet": 4}[name]
    with pytest.raises(InputError, match=words):
        cost_of_name(name, {}, (channels, 32, 32), fixed)


class Scaled(nn.Module):
    """The weight of one layer follows from a number, that of another from the input."""

    def __init__(self):
        super().__init__()
        self.of_number, self.of_input = nn.Linear(1, 12), nn.Linear(3, 12)

    def forward(self, image, gain):
        first = self.of_number(torch.full((1,), gain, device=image.device)).view(4, 3, 1, 1)
        second = self.of_input(image.mean((0, 2, 3))).view(3, 4, 1, 1)
        return nn.functional.conv2d(nn.functional.conv2d(image, first), second)


def test_layers_that_no_input_reaches_are_the_predictor():
    cost = cost_of(Scaled(), (1, 3, 8, 8), {"gain": 0.5})
    parts = {layer.name: layer.part for layer in cost.layers}
    assert parts == {"of_number": "predictor", "of_input": "path", "Scaled": "path"}


@pytest.mark.parametrize(
    ("name", "options"),
    [("hyperconv_unet", SMALL), ("phi_unet", {"hyper": False}), ("phi_unet", {})],
)
def test_activations_are_what_the_layers_read_and_write(name, options):
    fixed = {"phi": 0.4} if name == "phi_unet" else {}
    model = build_model(name, options).eval()
    shape = (1, model.inputs[0].channels, 64, 64)
    seen = {}

    def note(path):
        def hook(_module, given, result):
            seen[path] = given[0].numel() + result.numel()

        return hook

    kinds = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)
    for path, module in model.named_modules():
        if isinstance(module, kinds):
            module.register_forward_hook(note(path))
    with torch.no_grad():
        model(torch.zeros(shape), **fixed)
    counted = {layer.name: layer.activations for layer in cost_of(model, shape, fixed).layers}
    assert seen
    assert {path: counted[path] for path in seen} == seen


class Skip(nn.Module):
    """A map that two layers read, the second one beside the map of the first."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv2d(2, 4, 1), nn.Conv2d(6, 3, 1)

    def forward(self, image):
        return self.second(torch.cat([image, self.first(image)], 1))


def test_a_skipped_map_counts_in_each_layer_that_reads_it():
    layers = {layer.name: layer for layer in cost_of(Skip(), (1, 2, 8, 8)).layers}
    assert layers["first"].activations == 64 * (2 + 4)
    assert layers["second"].activations == 64 * (6 + 3)


class Twice(nn.Module):
    """One layer that runs twice."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Conv2d(2, 2, 1)

    def forward(self, image):
        return self.layer(self.layer(image))


def test_a_layer_that_runs_twice_reads_and_writes_twice():
    (layer,) = cost_of(Twice(), (1, 2, 8, 8)).layers
    assert layer.activations == 64 * 2 * 4
