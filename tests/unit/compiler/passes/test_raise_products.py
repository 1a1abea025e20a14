"""Products with constant matrices become linear layers, which quantisers store in int8."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from edge_pipeline.compiler.passes.raise_products import RaiseProducts
from edge_pipeline.compiler.pipeline import PIPELINES, passes_for
from edge_pipeline.compiler.precision.kept_float import layers_of
from tests.programs import exported, run_checked
from tests.selection import examples


class Product(nn.Module):
    """A product of the input with a constant."""

    def __init__(self, multiply, *shapes):
        super().__init__()
        torch.manual_seed(0)
        self.held = nn.ParameterList([torch.randn(shape) for shape in shapes])
        self.multiply = multiply

    def forward(self, x):
        return self.multiply(x, *self.held)


def names(program):
    return [n.target.__name__ for n in program.graph.nodes if n.op == "call_function"]


PRODUCTS = {
    "mm": (Product(torch.mm, (4, 6)), (3, 4)),
    "matmul": (Product(torch.matmul, (4, 6)), (2, 5, 3, 4)),
    "addmm": (Product(lambda x, w, b: torch.addmm(b, x, w), (4, 6), (6,)), (3, 4)),
}


@pytest.mark.parametrize("name", PRODUCTS)
def test_a_product_with_a_constant_matrix_is_a_linear_layer(name):
    network, shape = PRODUCTS[name]
    x = torch.rand(shape)
    program = exported(network, x)
    assert layers_of(program) == []
    result = run_checked(RaiseProducts(), program, x)
    assert names(result.program) == ["linear.default"]
    assert len(layers_of(result.program)) == 1
    assert len(result.notes) == 1
    assert "became a linear layer" in result.notes[0]
    assert not RaiseProducts().run(result.program).modified


OTHERS = {
    "computed": (lambda x: torch.mm(x, x.T), (3, 4)),
    "vector": (Product(torch.matmul, (4, 6)), (4,)),
    "batches of matrices": (Product(torch.matmul, (3, 4, 6)), (3, 2, 4)),
    "constant on the left": (Product(lambda x, w: torch.mm(w, x), (6, 3)), (3, 4)),
    "scaled": (Product(lambda x, w, b: torch.addmm(b, x, w, alpha=2), (4, 6), (6,)), (3, 4)),
    "added map": (Product(lambda x, w, b: torch.addmm(b, x, w), (4, 6), (3, 6)), (3, 4)),
    "computed bias": (Product(lambda x, w: torch.addmm(x[0, :1], x, w), (4, 1)), (3, 4)),
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_products_are_left_alone(name):
    network, shape = OTHERS[name]
    x = torch.rand(shape)
    assert not run_checked(RaiseProducts(), exported(network, x), x).modified


def test_a_matrix_that_is_also_a_value_keeps_its_axes():
    x = torch.rand(4, 4)
    program = exported(Product(lambda x, w: torch.mm(x, w) + torch.mm(w, x) + w, (4, 4)), x)
    result = run_checked(RaiseProducts(), program, x)
    assert sorted(names(result.program)) == [
        "add.Tensor",
        "add.Tensor",
        "linear.default",
        "mm.default",
    ]


@given(st.lists(st.integers(1, 4), min_size=1, max_size=3), st.integers(1, 5), st.integers(1, 5))
@examples(10)
def test_any_sizes_agree(leading, k, n):
    x = torch.rand(*leading, k)
    run_checked(RaiseProducts(), exported(Product(torch.matmul, (k, n)), x), x)


@pytest.mark.parametrize("backend", ["onnx", "executorch", "litert"])
def test_products_are_raised_in_int8_only(backend):
    assert backend in PIPELINES
    held = {
        precision: "raise_products"
        in [step.name for step in passes_for(backend, precision=precision)]
        for precision in ("fp32", "int8")
    }
    assert held == {"fp32": False, "int8": True}
