"""Rules of shapes: what torch computes, also after they are no longer compared with torch."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from edge_pipeline.compiler.source import shape_rules
from edge_pipeline.compiler.source.shape_rules import Rules

ATEN = torch.ops.aten
RULES = Rules()  # after a few examples, nothing is compared any more
SIDES = st.integers(1, 12)


def meta(*shape):
    return torch.empty(shape, device="meta")


def assert_like_torch(func, *args):
    expected = func(*args)
    found = RULES.result(func, args, lambda: func(*args))
    assert found.shape == expected.shape
    assert found.stride() == expected.stride()
    assert found.dtype == expected.dtype


@given(
    size=st.tuples(SIDES, SIDES),
    kernel=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    stride=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    padding=st.tuples(st.integers(2, 3), st.integers(2, 3)),
    dilation=st.integers(1, 2),
    groups=st.sampled_from([1, 2]),
)
def test_convolutions(size, kernel, stride, padding, dilation, groups):
    args = (
        meta(1, 4, *size),
        meta(6, 4 // groups, *kernel),
        meta(6),
        list(stride),
        list(padding),
        [dilation, dilation],
        False,
        [0, 0],
        groups,
    )
    assert_like_torch(ATEN.convolution.default, *args)


@given(sizes=st.lists(st.integers(1, 5), min_size=1, max_size=4), dim=st.integers(0, 3))
def test_concatenation(sizes, dim):
    shapes = [[2, 3, 4, 5] for _ in sizes]
    for shape, size in zip(shapes, sizes, strict=True):
        shape[dim] = size
    assert_like_torch(ATEN.cat.default, [meta(*shape) for shape in shapes], dim)


@given(size=st.tuples(SIDES, SIDES), to=st.tuples(SIDES, SIDES))
def test_resizing_and_pointwise_operators(size, to):
    assert_like_torch(ATEN.upsample_bilinear2d.default, meta(1, 3, *size), list(to), False)
    assert_like_torch(ATEN.leaky_relu.default, meta(1, 3, *size), 0.1)
    assert_like_torch(ATEN.add.Tensor, meta(1, 3, *size), meta(1, 3, *size))
    assert_like_torch(ATEN.add.Tensor, meta(1, 3, *size), meta(1, 3, 1, 1))
    assert_like_torch(ATEN.gt.Scalar, meta(1, 3, *size), 0.5)  # the result is boolean


def test_a_rule_that_differs_from_torch_is_given_up(monkeypatch):
    monkeypatch.setattr(shape_rules, "_shape", lambda *_: (7, 7))
    rules, x = Rules(), meta(1, 3, 4, 5)
    for _ in range(6):
        found = rules.result(ATEN.relu.default, (x,), lambda: ATEN.relu.default(x))
        assert found.shape == x.shape


@pytest.mark.parametrize("stored", ["channels_last", "transposed"])
def test_other_layouts_are_left_to_torch(stored):
    x = meta(1, 3, 4, 5)
    x = x.to(memory_format=torch.channels_last) if stored == "channels_last" else x.mT
    assert_like_torch(ATEN.leaky_relu.default, x, 0.1)
