import torch
from hypothesis import given
from hypothesis import strategies as st

from edge_pipeline.compiler.lowering.movement import (
    flipped,
    matrix_for,
    repeated,
    stepped,
    stretches,
    taken,
    zeros_between,
)

X = torch.randn(3, 5, 7)
DIM = st.integers(0, 2)


@given(DIM, st.data())
def test_values_are_taken_by_stretches_and_by_a_product_alike(dim, data):
    indices = data.draw(st.lists(st.integers(0, X.shape[dim] - 1), min_size=1, max_size=9))
    expected = X.index_select(dim, torch.tensor(indices))
    assert torch.equal(taken(X, dim, indices), expected)
    matrix = torch.eye(X.shape[dim])[indices]
    assert torch.allclose(taken(X, dim, indices, matrix), expected)


def test_a_matrix_is_made_for_many_stretches_alone():
    assert stretches([3, 4, 0, 0, 1]) == [(3, 2), (0, 1), (0, 2)]
    assert matrix_for(range(40), 40) is None
    assert matrix_for(range(39, -1, -1), 40).shape == (40, 40)


@given(DIM)
def test_flipping(dim):
    assert torch.equal(flipped(X, dim), X.flip(dim))


@given(DIM, st.integers(0, 2), st.integers(1, 3), st.data())
def test_steps_are_those_of_a_slice(dim, start, step, data):
    most = (X.shape[dim] - 1 - start) // step + 1
    count = data.draw(st.integers(1, most)) if most > 0 else 0
    if count:
        index = [slice(None)] * 3
        index[dim] = slice(start, start + (count - 1) * step + 1, step)
        assert torch.equal(stepped(X, dim, start, count, step), X[tuple(index)])


@given(DIM, st.integers(1, 4))
def test_zeros_lie_between_and_none_behind(dim, step):
    spread = zeros_between(X, dim, step)
    index = [slice(None)] * 3
    index[dim] = slice(None, None, step)
    assert torch.equal(spread[tuple(index)], X)
    assert spread.shape[dim] == (X.shape[dim] - 1) * step + 1
    assert spread.count_nonzero() == X.count_nonzero()


@given(st.integers(1, 9))
def test_repetition_by_ones_and_by_joining(count):
    x = X.reshape(15, 1, 7)
    expected = x.expand(15, count, 7)
    assert torch.equal(repeated(x, count, torch.ones(1, count, 1)), expected)
    assert torch.equal(repeated(x, count, None), expected)
