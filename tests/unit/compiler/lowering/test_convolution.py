import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from hypothesis import assume, given
from hypothesis import strategies as st

from edge_pipeline.compiler.lowering import convolution
from edge_pipeline.compiler.lowering.algorithms import ALGORITHMS
from edge_pipeline.compiler.lowering.convolution import (
    DEPTHWISE,
    PLANS,
    ConvGeometry,
    ConvPlan,
    convolve,
    output_size,
    plans_for,
    shape_of,
    strip_rows,
)
from edge_pipeline.compiler.lowering.padding import Padding
from tests.selection import examples

TOLERANCE = 3e-6


def plain(x, weight, geometry, bias=None):
    padding = geometry.padding
    mode = {"reflect": "reflect", "zeros": "constant"}[padding.mode]
    amounts = (padding.columns, padding.columns, padding.rows, padding.rows)
    return F.conv2d(
        F.pad(x, amounts, mode=mode).double(),
        weight.double(),
        None if bias is None else bias.double(),
        geometry.stride,
        0,
        geometry.dilation,
        geometry.groups,
    )


def error(found, expected):
    assert found.shape == expected.shape
    return float((found - expected).abs().max() / expected.abs().max().clamp(min=1))


@st.composite
def layers(draw, *, depthwise=False):
    """A map, a weight, how it goes over the map, and a bias or none."""
    groups = draw(st.integers(1, 3))
    n_in, n_out = groups * draw(st.integers(1, 6)), groups * draw(st.integers(1, 6))
    if depthwise:
        groups = n_out = n_in
    kernel = draw(st.tuples(*[st.sampled_from([1, 2, 3, 5])] * 2))
    size = draw(st.tuples(*[st.integers(5, 23)] * 2))
    stride = draw(st.tuples(*[st.integers(1, 3)] * 2))
    dilation = draw(st.tuples(*[st.integers(1, 3)] * 2))
    amounts = (kernel[0] // 2, kernel[1] // 2) if draw(st.booleans()) else (0, 0)
    geometry = ConvGeometry(
        Padding(*amounts, draw(st.sampled_from(["reflect", "zeros"]))), stride, dilation, groups
    )
    assume(all(side >= 1 for side in output_size(size, kernel, geometry)))
    rng = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    x = torch.randn(1, n_in, *size, generator=rng)
    weight = torch.randn(n_out, n_in // groups, *kernel, generator=rng)
    return x, weight, geometry, torch.randn(n_out, generator=rng) if draw(st.booleans()) else None


def computed(x, weight, geometry, bias, plan, *, inside):
    """With the bias added with the product, if `inside`, where the algorithm does that."""
    shape = shape_of(tuple(x.shape[2:]), tuple(weight.shape), geometry)
    ones = torch.ones(1, 1, shape.height + shape.row_span, shape.width + shape.column_span)
    return convolve(x, weight, geometry, plan, bias, ones if inside else None)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@given(layers(), st.booleans())
def test_every_algorithm_is_the_convolution(algorithm, layer, inside):
    found = computed(*layer, ConvPlan(algorithm, 0), inside=inside)
    assert error(found, plain(*layer)) < TOLERANCE


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@examples(30)
@given(layers(), st.booleans())
def test_strips_meet_without_a_seam(algorithm, layer, inside):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(convolution, "_FEWEST_ROWS", 2)
        found = computed(*layer, ConvPlan(algorithm, 1), inside=inside)
    assert error(found, plain(*layer)) < TOLERANCE


@given(layers(depthwise=True))
def test_products_of_maps_are_the_depthwise_convolution(layer):
    assert error(computed(*layer, DEPTHWISE, inside=False), plain(*layer)) < TOLERANCE


def test_a_depthwise_fault_is_far_outside_the_tolerance():
    rng = torch.Generator().manual_seed(0)
    x, weight = torch.randn(1, 4, 16, 16, generator=rng), torch.randn(4, 1, 3, 3, generator=rng)
    strided = ConvGeometry(Padding(1, 1, "zeros"), (2, 1), (1, 1), 4)
    expected = plain(x, weight, strided, None)
    for wrong in (weight.mT, weight.flip(2), weight.flip(0)):
        assert error(convolve(x, wrong, strided, DEPTHWISE), expected) > 1000 * TOLERANCE


@given(layers())
def test_the_output_size_is_torchs(layer):
    x, weight, geometry, _ = layer
    size = output_size(tuple(x.shape[2:]), tuple(weight.shape[2:]), geometry)
    assert size == plain(*layer).shape[2:]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_planted_faults_are_far_outside_the_tolerance(algorithm):
    rng = torch.Generator().manual_seed(0)
    x, weight = torch.randn(1, 4, 16, 16, generator=rng), torch.randn(6, 4, 3, 3, generator=rng)
    reflected = ConvGeometry(Padding(1, 1, "reflect"))
    whole, bias = ConvPlan(algorithm, 0), torch.randn(6, generator=rng)
    expected = plain(x, weight, reflected, bias)

    def found(weight=weight, bias=bias, **changes):
        return convolve(
            x, weight, ConvGeometry(**{"padding": reflected.padding} | changes), whole, bias
        )

    assert error(found(), expected) < TOLERANCE
    faults = {
        "rows and columns of the kernel swapped": found(weight.mT),
        "kernel turned round": found(weight.flip(2, 3)),
        "zeros in the place of reflection": found(padding=Padding(1, 1, "zeros")),
        "a tap lost": found(weight.index_fill(3, torch.tensor(2), 0)),
        "a bias for another channel": found(bias=bias.roll(1)),
        "channels in another order": found(weight.flip(1)),
    }
    for name, wrong in faults.items():
        assert error(wrong, expected) > 1000 * TOLERANCE, name


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_strips_keep_the_widest_intermediate_within_the_limit(algorithm):
    geometry = ConvGeometry(Padding(1, 1, "zeros"))
    shape = shape_of((256, 256), (16, 16, 3, 3), geometry)
    rows = strip_rows(shape, ConvPlan(algorithm, 2 << 20))
    assert rows < 256
    widest = ALGORITHMS[algorithm].channels(shape)
    assert 4 * widest * (rows + shape.row_span) * shape.width <= 2 << 20


def test_a_plan_is_listed_once_for_a_map_of_one_strip():
    geometry = ConvGeometry(Padding(1, 1, "zeros"))
    small = plans_for(shape_of((16, 16), (4, 4, 3, 3), geometry))
    assert small == [plan for plan in PLANS if not plan.strip_bytes]
    assert plans_for(shape_of((256, 256), (16, 16, 3, 3), geometry)) == list(PLANS)


def test_a_plan_says_what_it_is():
    assert str(ConvPlan("im2col", 0)) == "im2col"
    assert str(ConvPlan("im2col", 2 << 20)) == "im2col/2048K"
