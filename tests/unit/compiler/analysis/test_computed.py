"""Computed weights, found in small networks written for it; and the cuts give the whole again."""

import pytest

pytest.importorskip("torch", reason="compiling needs torch")

import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from hypothesis import given
from torch import nn

from edge_pipeline.compiler.analysis.computed import computed_weights, frontier
from edge_pipeline.compiler.analysis.cutting import cut_at
from edge_pipeline.compiler.analysis.extent import Extent, extents
from edge_pipeline.compiler.program import run_program, user_inputs
from edge_pipeline.models.layers.hyperconv import HyperConvEmbed
from tests.programs import exported
from tests.selection import examples
from tests.strategies import sizes, small_networks

X = torch.rand(1, 4, 16, 12, generator=torch.Generator().manual_seed(0))
VECTOR = torch.rand(1, 3, generator=torch.Generator().manual_seed(1))


class Body(nn.Module):
    """Layers to build the networks below from."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(4, 4, 3, padding=1)
        self.embed = nn.Conv2d(4, 6, 3, stride=2)
        self.gain, self.shift = nn.Linear(6, 4), nn.Linear(6, 4)
        self.gate, self.route = nn.Linear(4, 4), nn.Linear(4, 3)
        self.experts = nn.Parameter(torch.randn(3, 4 * 4 * 9))
        self.kernel, self.matrix = nn.Linear(4, 4 * 4 * 9), nn.Linear(3, 16)
        self.query, self.key, self.value = (nn.Conv2d(4, 4, 1) for _ in range(3))
        self.each = nn.Conv2d(4, 4 * 9, 4, stride=4)
        self.filters = HyperConvEmbed(4, 3, bias=True, gain=True)

    def film(self, x):
        """Maps scaled and shifted by what an embedding network makes of the input."""
        signal = self.embed(x).relu().mean((2, 3))
        gain, shift = (part(signal)[:, :, None, None] for part in (self.gain, self.shift))
        return self.conv(x) * gain + shift


class Gated(Body):
    """Squeeze and excitation."""

    def forward(self, x):
        y = self.conv(x)
        return y * torch.sigmoid(self.gate(y.mean((2, 3))))[:, :, None, None]


class Film(Body):
    def forward(self, x):
        return self.film(x)


class Rooted(Body):
    """An offset, and its root, both of which meet a map."""

    def forward(self, x):
        offset = torch.sigmoid(self.shift(self.embed(x).mean((2, 3))))[:, :, None, None]
        return torch.sqrt(self.conv(x).relu() + offset) * torch.sqrt(offset)


class FilmThenHyper(Body):
    def forward(self, x):
        return self.filters(self.film(x))


class Hyper(Body):
    def forward(self, x):
        return self.filters(x)


class CondConv(Body):
    """A sample's mixture of experts, in one grouped convolution."""

    def forward(self, x):
        n, _, height, width = x.shape
        shares = torch.sigmoid(self.route(x.mean((2, 3))))
        weight = (shares @ self.experts).reshape(4 * n, 4, 3, 3)
        y = F.conv2d(x.reshape(1, 4 * n, height, width), weight, padding=1, groups=n)
        return y.reshape(n, 4, height, width)


class Shared(Body):
    """A weight that two convolutions use, made from the greatest values."""

    def forward(self, x):
        weight = self.kernel(x.flatten(2).max(2).values).reshape(4, 4, 3, 3)
        return F.conv2d(F.conv2d(x, weight, padding=1), weight, padding=1)


class Patchwise(Body):
    """Filters of their own for each of 4 x 3 patches."""

    def forward(self, x):
        weight = self.each(x).permute(0, 2, 3, 1).reshape(4 * 12, 1, 3, 3)
        patches = x.reshape(1, 4, 4, 4, 3, 4).permute(0, 2, 4, 1, 3, 5).reshape(1, 4 * 12, 4, 4)
        return F.conv2d(patches, weight, padding=1, groups=4 * 12)


class PatchwiseFilm(Patchwise):
    def forward(self, x):
        return super().forward(self.film(x))


class Attention(Body):
    def forward(self, x):
        q, k, v = (part(x).flatten(2) for part in (self.query, self.key, self.value))
        return (v @ torch.softmax(k.transpose(1, 2) @ q, 1)).reshape(x.shape)


class AttentionOfTwoAxes(Body):
    def forward(self, x):
        q, k, v = (part(x)[0].flatten(1) for part in (self.query, self.key, self.value))
        return (v @ torch.softmax(k.T @ q, 0)).reshape(x.shape)


class Classifier(Body):
    def forward(self, x):
        return self.route(F.adaptive_avg_pool2d(self.conv(x).relu(), 1).flatten(1))


class FlatClassifier(Body):
    def forward(self, x):
        flat = self.conv(x).relu().flatten(1)
        return F.linear(flat, self.experts.flatten()[: 2 * 192].repeat(1, 4).reshape(2, -1))


class Constant(Body):
    """A weight computed, but from parameters alone."""

    def forward(self, x):
        return F.conv2d(x, (self.experts / self.experts.norm()).sum(0).reshape(4, 4, 3, 3))


class FromVector(Body):
    """A linear layer over pixels with a weight made of a second input."""

    def forward(self, x, vector):
        weight = self.matrix(vector).reshape(4, 4)
        return F.linear(x.permute(0, 2, 3, 1), weight).permute(0, 3, 1, 2)


class ProductFromVector(Body):
    def forward(self, x, vector):
        return (self.matrix(vector).reshape(4, 4) @ x.flatten(2)).reshape(x.shape)


class SpreadOverPixels(Body):
    """A pooled feature that is joined to the maps pixel by pixel, before a computed weight."""

    def forward(self, x):
        pooled = self.embed(x).relu().mean((2, 3), keepdim=True)[:, :4]
        spread = pooled.expand(-1, -1, x.shape[2], x.shape[3])
        return self.filters(x + self.conv(spread))


def put_together(program, inputs):
    """Predictor and path of a program, run one after the other; and what the whole gives."""
    nodes = frontier(program)
    own = dict(zip(user_inputs(program.graph_signature), inputs, strict=True))
    predictor = cut_at(program, list(nodes), given={})
    path = cut_at(program, given={node: f"given_{i}" for i, node in enumerate(nodes)})

    def taken(part):
        return [own[name] for name in user_inputs(part.graph_signature) if name in own]

    given_values = run_program(predictor, taken(predictor))
    found = run_program(path, [*taken(path), *given_values])
    return found, run_program(program, inputs)


CUT = [
    (Film, (X,), ["conv.gain", "conv.bias"]),
    (Rooted, (X,), ["conv.bias", "conv.gain"]),
    (Hyper, (X,), ["filters.weight", "filters.bias", "filters.gain"]),
    (
        FilmThenHyper,
        (X,),
        ["conv.gain", "conv.bias", "filters.weight", "filters.bias", "filters.gain"],
    ),
    (CondConv, (X,), ["route.weight"]),
    (Shared, (X,), ["kernel.weight"]),
    (FromVector, (X, VECTOR), ["matrix.weight"]),
    (ProductFromVector, (X, VECTOR), ["matrix.factor"]),
    (SpreadOverPixels, (X,), None),
]
KEPT = [Gated, Attention, AttentionOfTwoAxes, Classifier, FlatClassifier, Constant]


@pytest.mark.parametrize(("network", "inputs", "names"), CUT)
def test_what_one_input_has_in_common_is_cut_off(network, inputs, names):
    program = exported(network(), *inputs)
    nodes = frontier(program)
    found = list(nodes.values())
    assert found == names or names is None
    assert len(set(found)) == len(found)
    assert list(nodes) == [node for node in program.graph.nodes if node in nodes]
    for part, whole in zip(*put_together(program, inputs), strict=True):
        assert torch.allclose(part, whole, atol=1e-6)


@pytest.mark.parametrize("network", KEPT)
def test_what_a_path_can_compute_itself_stays_in_it(network):
    program = exported(network(), X)
    assert computed_weights(program) == ()
    assert frontier(program) == {}


@pytest.mark.parametrize("network", [Patchwise, PatchwiseFilm])
def test_weights_of_patches_are_found_and_not_cut(network):
    program = exported(network(), X)
    (weight,) = computed_weights(program)
    assert (weight.kind, weight.operand) == ("patch", "weight")
    assert weight.layer.startswith("the function test_computed.py:")
    assert frontier(program) == {}


@pytest.mark.parametrize(
    ("network", "inputs", "kind"),
    [
        (CondConv, (X,), "capture"),
        (CondConv, (X.expand(2, -1, -1, -1).clone(),), "sample"),
        (FromVector, (X.expand(2, -1, -1, -1).clone(), VECTOR), "capture"),
        (ProductFromVector, (X, VECTOR), "capture"),
    ],
)
def test_a_set_a_sample_is_told_from_a_set_for_all(network, inputs, kind):
    (weight,) = computed_weights(exported(network(), *inputs))
    assert weight.kind == kind


def test_a_shared_weight_is_found_twice_and_cut_once():
    program = exported(Shared(), X)
    found = computed_weights(program)
    assert [w.node.name for w in found] == ["conv2d", "conv2d_1"]
    assert found[0].weight is found[1].weight
    assert len(frontier(program)) == 1


def test_the_computed_bias_of_a_computed_convolution_is_cut_off_with_its_weight():
    class Attended(Body):
        def forward(self, x):
            y = self.conv(x)
            share = self.route(y.mean((2, 3))).softmax(-1)
            weight = (share @ self.experts).view(4, 4, 3, 3)
            return F.conv2d(y, weight, (share @ self.experts[:, :4]).view(-1), padding=1)

    program = exported(Attended(), X)
    assert list(frontier(program).values()) == ["conv.weight", "conv.bias"]


def test_extents_of_a_squeeze_and_excitation():
    program = exported(Gated(), X)
    known = {node.name: extent for node, extent in extents(program).items()}
    assert known["x"] is known["conv2d"] is known["mul"] is Extent.MAP
    assert known["mean"] is known["linear"] is known["sigmoid"] is Extent.GLOBAL
    assert known["p_conv_weight"] is known["p_gate_bias"] is Extent.CONSTANT


def test_a_vector_has_no_pixels():
    known = {n.name: e for n, e in extents(exported(FromVector(), X, VECTOR)).items()}
    assert (known["x"], known["vector"]) == (Extent.MAP, Extent.GLOBAL)


def test_no_map_is_cut_off_where_a_pixel_is_spread():
    """Its size is the input's, and a predictor sees a smaller one."""
    known = extents(program := exported(SpreadOverPixels(), X))
    spread = next(node for node in known if node.name.startswith("expand"))
    assert known[spread] is Extent.MAP
    for node in frontier(program):
        assert tuple(node.meta["val"].shape[2:]) in {(), (1, 1), (3, 3)}


def test_layers_of_the_same_name_are_numbered():
    class Twice(Body):
        def forward(self, x):
            first, second = (
                self.kernel(value).reshape(4, 4, 3, 3) for value in (x.mean((2, 3)), x.amax((2, 3)))
            )
            return F.conv2d(F.conv2d(x, first, padding=1), second, padding=1)

    assert list(frontier(exported(Twice(), X)).values()) == ["kernel.weight", "kernel.weight1"]


@examples(25)
@given(small_networks(computed_groups=True), sizes(lowest=8))
def test_predictor_and_path_are_the_whole(network, size):
    torch.manual_seed(size[0])
    x = torch.rand(1, network.in_channels, *size)
    program = exported(network, x)
    computed = [layer for layer in network.layers if layer.computed]
    names = list(frontier(program).values())
    assert len(set(names)) == len(names) == len(computed)
    if computed:
        for part, whole in zip(*put_together(program, (x,)), strict=True):
            assert torch.allclose(part, whole, rtol=1e-6, atol=1e-6)
