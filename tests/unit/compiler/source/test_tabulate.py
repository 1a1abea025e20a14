"""Map sizes and costs over the range of phi, held against the network itself."""

import math

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from edge_pipeline.compiler.source.tabulate import NotEveryValue, tabulated
from edge_pipeline.compiler.source.trail import trail_of
from edge_pipeline.models.amortised import Amortised
from edge_pipeline.models.base import build_model
from edge_pipeline.models.cost import cost_of
from edge_pipeline.models.layers.rescaling import sizes_of
from tests.programs import network_of

OPTIONS = {"encoder": "4-6-8", "decoder": "5-3", "hidden2": 8}
SIZE = (20, 33)
LIMITS = (1e-3, 0.6)


def table_of(module, size=SIZE, limits=LIMITS, phi=0.35):
    network = network_of(module, (torch.rand(1, 3, *size),)).with_fixed({"phi": phi})
    return tabulated(network, "phi", trail_of(network), limits)


class Described(nn.Module):
    """A network of a test: a convolution, and what it does with its maps."""

    inputs = outputs = ()
    stride = min_size = scale = 1
    halo, free_sizes, default_size = None, False, SIZE

    def __init__(self):
        super().__init__()
        self.inner, self.outer = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 2, 3, padding=1)


class Rounded(Described):
    """Levels by its own rule."""

    def __init__(self, rule, levels=2):
        super().__init__()
        self.rule, self.levels = rule, levels

    def sizes(self, height, width, phi):
        sizes = [(height, width)]
        for _ in range(self.levels):
            sizes.append(tuple(max(1, self.rule(side * phi)) for side in sizes[-1]))
        return sizes

    def forward(self, x, phi):
        sizes = self.sizes(*x.shape[2:], phi)
        y = self.inner(x)
        for size in sizes[1:]:
            y = F.interpolate(y, size=size, mode="bilinear")
        return F.interpolate(self.outer(y), size=sizes[0], mode="bilinear")


@pytest.fixture(scope="module")
def unet():
    return table_of(build_model("phi_unet_pets", OPTIONS))


PHIS = st.one_of(
    st.integers(10, 6000).map(lambda n: n / 10000),
    st.integers(1, 600).map(lambda n: n / 1000),
    st.floats(*LIMITS),
)


@given(phi=PHIS)
def test_sizes_are_those_of_the_network_at_any_phi(unet, phi):
    row = unet.table.at(phi)
    at = unet.table.at(unet.anchor)
    levels = sizes_of(*SIZE, unet.anchor, 3)
    for anchored, found in zip(levels, sizes_of(*SIZE, phi, 3), strict=True):
        for axis in (0, 1):
            column = unet.columns[axis - 2, anchored[axis]]
            assert (found[axis] if column is None else row[column]) == found[axis]
            assert column is None or at[column] == anchored[axis]


@pytest.mark.parametrize("phi", [0.001, 0.2, 0.35, 0.5, 0.6])
def test_costs_are_those_of_the_network(unet, phi):
    model = build_model("phi_unet_pets", OPTIONS)
    cost = cost_of(model, (1, 3, *SIZE), {"phi": phi})
    row = unet.table.at(phi)
    assert row[unet.table.spec.macs] == cost.path.macs
    layers = {layer.name: layer for layer in cost.layers}
    for columns in unet.table.spec.layers:
        own = layers[columns.name]
        assert row[columns.macs] == own.macs
        found = [
            s if c is None else row[c]
            for c, s in zip(columns.output_shape, own.output_shape, strict=True)
        ]
        assert tuple(found) == own.output_shape


@pytest.mark.parametrize("rule", [math.floor, round, math.ceil, lambda x: int(x + 0.37)])
def test_a_users_own_rule(rule):
    module = Amortised(Rounded(rule), (0.05, 0.95), hidden2=4)
    found = table_of(module, (9, 14), (0.05, 0.95))
    rows = [found.table.at(n / 1000) for n in range(50, 951)]
    sizes = [module.network.sizes(9, 14, n / 1000) for n in range(50, 951)]
    expected = {
        tuple(level[axis] for level in vector)
        for vector in zip(*sizes, strict=True)
        for axis in (0, 1)
    }
    held = set(zip(*rows, strict=True))
    assert all(vector in held or len(set(vector)) == 1 for vector in expected)


def test_levels_of_one_pixel():
    found = table_of(build_model("phi_unet_pets", OPTIONS), (4, 3))
    columns = [column for column in found.columns.values() if column is not None]
    assert {found.table.at(0.3)[column] for column in columns} == {1}
    assert 2 in found.table.at(0.6)
    assert table_of(build_model("phi_unet_pets", OPTIONS), (1, 1)).table.numbers.shape == (1, 0)


def test_it_does_not_depend_on_the_value_that_is_compiled():
    one, other = (table_of(Rounded(math.floor), (9, 14), phi=phi) for phi in (0.2, 0.55))
    assert one.anchor == other.anchor
    assert one.table.numbers.tolist() == other.table.numbers.tolist()
    assert one.table.breaks.tolist() == other.table.breaks.tolist()


class Factor(Described):
    """It gives torch the factor, which the runtime would need too."""

    def forward(self, x, phi):
        y = F.interpolate(self.inner(x), scale_factor=phi, mode="bilinear")
        return F.interpolate(self.outer(y), size=x.shape[2:], mode="bilinear")


class Smaller(Described):
    """Its output has the size of its smallest map."""

    def forward(self, x, phi):
        size = [max(1, int(side * phi)) for side in x.shape[2:]]
        return self.outer(F.interpolate(self.inner(x), size=size, mode="bilinear"))


class Pooled(Described):
    """It pools to a number of places that depends on phi."""

    def forward(self, x, phi):
        y = F.adaptive_avg_pool2d(self.inner(x), [max(1, int(side * phi)) for side in x.shape[2:]])
        return F.interpolate(self.outer(y), size=x.shape[2:], mode="bilinear")


class Brighter(Described):
    """phi is a factor of its maps."""

    def forward(self, x, phi):
        return self.outer(self.inner(x) * phi)


class Deeper(Described):
    """It has another layer from phi = 0.5."""

    def forward(self, x, phi):
        y = self.inner(x)
        return self.outer(y.relu() if phi >= 0.5 else y)


@pytest.mark.parametrize(
    ("module", "words"),
    [
        (Factor, "has different numbers"),
        (Smaller, "outputs have different shapes"),
        (Pooled, "(has different numbers|operators differ)"),
        (Brighter, "mul.* has different numbers"),
        (Deeper, "its operators at phi=0.6 differ"),
    ],
)
def test_what_more_than_sizes_would_change_is_refused(module, words):
    with pytest.raises(NotEveryValue, match=words):
        table_of(module(), (9, 14), (0.3, 0.6))


class Still(Described):
    """No map is resized."""

    def forward(self, x, phi):
        return self.outer(self.inner(x))


def test_without_resizes_the_table_is_one_row():
    found = table_of(Still())
    assert found.table.numbers.shape == (1, 0)
    assert found.table.spec.macs is None
    assert found.columns == {}
