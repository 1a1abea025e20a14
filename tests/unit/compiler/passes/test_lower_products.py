import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from edge_pipeline.compiler.passes.lower_products import LowerProducts
from tests.programs import exported, run_checked, targets

PRODUCTS = {"linear", "matmul", "mm", "mv", "dot", "addmm", "baddbmm"}


@pytest.mark.parametrize(
    ("function", "shapes"),
    [
        (lambda x, w: F.linear(x, w * 2), [(2, 3, 4), (5, 4)]),
        (lambda x, w, b: F.linear(x, w * 2, b), [(3, 4), (5, 4), (5,)]),
        (lambda x, y: x @ (y * 2), [(3, 4), (4, 5)]),
        (lambda x, y: x @ (y * 2), [(2, 6, 3, 4), (4, 5)]),
        (lambda x, y: x @ (y * 2), [(2, 6, 3, 4), (2, 6, 4, 5)]),
        (lambda x, y: x @ (y * 2).mT, [(3, 4), (5, 4)]),
        (lambda x, y: x @ (y * 2), [(3, 4), (4,)]),
        (lambda x, y: torch.dot(x, y * 2), [(4,), (4,)]),
        (lambda x, y: torch.mm(x, y * 2), [(3, 4), (4, 5)]),
        (lambda a, x, y: torch.addmm(a, x, y * 2, beta=0.5, alpha=3), [(5,), (3, 4), (4, 5)]),
        (lambda a, x, y: torch.baddbmm(a, x, y * 2), [(2, 3, 5), (2, 3, 4), (2, 4, 5)]),
    ],
)
def test_a_product_of_computed_tensors_is_batched(function, shapes):
    inputs = [torch.randn(shape) for shape in shapes]
    result = run_checked(LowerProducts(), exported(function, *inputs), *inputs, tolerance=2e-6)
    assert not PRODUCTS & set(targets(result.program))
    assert "bmm" in targets(result.program)


def test_a_transposed_matrix_is_turned_by_three_axes():
    inputs = (torch.randn(1, 3, 4), torch.randn(5, 4))
    program = exported(lambda x, y: torch.bmm(x, (y * 2).t()[None]), *inputs)
    result = run_checked(LowerProducts(), program, *inputs)
    assert result.modified
    (turn,) = [n for n in result.program.graph.nodes if "permute" in str(n.target)]
    assert turn.args[1] == [2, 1, 0]


@pytest.mark.parametrize(
    "module", [nn.Linear(4, 5), nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2))]
)
def test_constant_weights_keep_their_layer(module):
    x = torch.randn(2, 4)
    assert not run_checked(LowerProducts(), exported(module, x), x).modified


@pytest.mark.parametrize(
    ("left", "right", "expands"),
    [
        ((2, 6, 3, 4), (2, 1, 4, 5), False),
        ((2, 6, 3, 4), (1, 1, 4, 5), False),
        ((2, 6, 3, 4), (6, 4, 5), True),
        ((2, 1, 3, 4), (2, 6, 4, 5), True),
        ((3, 4), (2, 6, 4, 5), True),
        ((2, 6, 2, 1, 4), (2, 1, 2, 4, 5), True),
        ((2, 6, 2, 1, 4), (2, 6, 1, 4, 5), False),
    ],
)
def test_axes_of_size_one_are_rows_or_expanded(left, right, expands):
    inputs = (torch.randn(left), torch.randn(right))
    program = exported(lambda x, y: x @ (y * 2), *inputs)
    result = run_checked(LowerProducts(), program, *inputs, tolerance=2e-6)
    assert not PRODUCTS & set(targets(result.program))
    assert ("expand" in targets(result.program)) == expands
