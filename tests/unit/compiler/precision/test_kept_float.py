"""Which layers int8 leaves in float32, on steps and on exported programs."""

import pytest

pytest.importorskip("torch", reason="compiling needs torch")

import numpy as np
import torch
from torch import nn

from edge_pipeline.compiler.backends.base import EmitOptions
from edge_pipeline.compiler.pipeline import passes_for, run_passes
from edge_pipeline.compiler.precision.kept_float import Step, input_layers, statistics, steps_of
from edge_pipeline.registry import BACKENDS
from tests.compiled import outputs_of
from tests.programs import exported


def layer(name, operand, weights):
    return Step(name, (operand, "w"), (name,), True, weights)


def plain(name, *operands):
    return Step(name, operands, (name,), False)


def test_layers_that_read_the_input_are_kept_through_what_is_no_product():
    steps = [
        plain("pad", "x"),
        layer("first", "pad", 30),
        layer("second", "first", 900),
        plain("sum", "second", "x"),
        layer("skip", "sum", 20),
        layer("last", "skip", 50),
    ]
    assert input_layers(steps, ["x"]) == {"first", "skip"}


def test_they_are_quantised_if_they_are_most_of_the_network():
    assert input_layers([layer("only", "x", 30)], ["x"]) == frozenset()
    assert input_layers([layer("a", "x", 101), layer("b", "a", 899)], ["x"]) == frozenset()
    assert input_layers([layer("a", "x", 100), layer("b", "a", 900)], ["x"]) == {"a"}


def test_a_product_of_computed_operands_ends_the_reach_of_the_input():
    steps = [Step("bmm", ("x", "y"), ("bmm",), True), layer("a", "bmm", 1), layer("b", "a", 99)]
    assert input_layers(steps, ["x", "y"]) == frozenset()


def test_means_written_as_products_are_statistics_with_the_squares_that_only_they_read():
    mean = torch.full((1, 4), 0.25)
    weights = torch.tensor([[1.0, 2.0, 0.0, 0.0]])

    def function(x):
        other = x * 2.0
        spread = torch.nn.functional.linear(x * x, mean)
        return spread + torch.nn.functional.linear(other, mean) + other[..., :1], (
            torch.nn.functional.linear(x * 3.0, weights)
        )

    program = exported(function, torch.rand(2, 4))
    kept = [node for node in program.graph.nodes if node.name in statistics(program)]
    assert [str(node.target).split(".")[1] for node in kept] == ["mul", "linear", "linear"]
    assert kept[0].args[0] is kept[0].args[1]


def test_a_normalisation_is_kept_up_to_the_product_with_its_inverse_root():
    mean, gain = torch.full((1, 4), 0.25), torch.tensor(3.0)

    def function(x):
        root = (torch.nn.functional.linear(x * x, mean) + 1e-5).rsqrt()
        return (x + 1.0) * (root * gain) * gain + 1.0

    program = exported(function, torch.rand(2, 4))
    kept = [node for node in program.graph.nodes if node.name in statistics(program)]
    names = [str(node.target).split(".")[1] for node in kept]
    assert names == ["mul", "linear", "add", "rsqrt", "mul", "mul"]


class Skipping(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 16, 3, padding=1)
        self.middle = nn.Conv2d(16, 64, 3, padding=1)
        self.last = nn.Conv2d(64, 3, 3, padding=1)
        self.skip = nn.Conv2d(3, 3, 1)

    def forward(self, x):
        return self.last(self.middle(self.first(x).relu()).relu()) + self.skip(x.clamp(0, 1))


def test_of_an_exported_program():
    program = exported(Skipping(), torch.rand(1, 3, 8, 8))
    layers = [n.name for n in program.graph.nodes if "conv" in n.name]
    found = input_layers(*steps_of(program))
    assert found == {layers[0], layers[3]}


def test_onnx_does_not_round_the_skip_to_eight_bits(tmp_path):
    """Dark values beside bright ones: in eight bits of the whole range they would be lost."""
    pytest.importorskip("onnxscript", reason="compiling to ONNX needs it")
    torch.manual_seed(0)
    model = Skipping().eval()
    with torch.no_grad():
        model.last.weight.mul_(1e-3)
        model.last.bias.zero_()
        bright, dark = torch.rand(1, 3, 16, 16), torch.rand(1, 3, 16, 16) / 500
        expected, skip = model(dark).numpy(), model.skip(dark)
    samples = [(bright,), (dark,)]
    (found,) = outputs_of("onnx", model, (dark,), tmp_path, precision="int8", samples=samples)
    assert np.abs(found - expected).max() < 0.1 * float(skip.max() - skip.min())


def test_litert_keeps_them_too():
    pytest.importorskip("litert_torch", reason="compiling for LiteRT needs it")
    from edge_pipeline.compiler.backends.litert.delegation import place

    x = torch.rand(1, 3, 16, 16)
    passes = passes_for("litert", precision="int8")
    program = run_passes(exported(Skipping().eval(), x), passes, [x])
    options = EmitOptions("forward", ["x"], ["y"], "int8", samples=[(x,)])
    (data,) = BACKENDS.load("litert").emit(program, options).files.values()
    kinds = [o.types for o in place(data).operators if o.kind == "CONV_2D"]
    assert len(kinds) == 4
    assert sum("int8" not in types for types in kinds) == 2
