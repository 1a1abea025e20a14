from pathlib import Path

import torch
from torch import nn

from edge_pipeline.compiler.analysis import origin
from edge_pipeline.compiler.analysis.origin import layer_of, line_of
from tests.programs import exported


class Inner(nn.Module):
    def forward(self, x):
        return x * 2.0


class Outer(nn.Module):
    def __init__(self):
        super().__init__()
        self.network = nn.Module()
        self.network.first = Inner()
        self.network.second = nn.ReLU()

    def forward(self, x):
        y = self.network.first(x) + 1
        return self.network.second(y)


def nodes():
    graph = exported(Outer(), torch.rand(1, 4)).graph
    return {str(n.target).split(".")[1]: n for n in graph.nodes if n.op == "call_function"}, graph


def test_a_layer_is_the_module_that_calls_the_operator():
    found, _ = nodes()
    assert layer_of(found["mul"]) == "first"
    assert layer_of(found["relu"]) == "second"


def test_an_operator_of_no_layer_has_its_line_and_never_the_layer_of_an_operand():
    found, graph = nodes()
    line = line_of(found["add"])
    name, number = line.split(":")
    assert name == "test_origin.py"
    assert "self.network.first(x) + 1" in Path(__file__).read_text().splitlines()[int(number) - 1]
    assert layer_of(found["add"]) == f"the function {line}"
    assert layer_of(next(iter(graph.nodes))) == "the network itself"


def test_the_line_is_outside_torch():
    found, _ = nodes()
    assert line_of(found["relu"]).startswith("test_origin.py:")


def test_a_line_of_this_compiler_is_no_line_of_the_network():
    found, _ = nodes()
    frames = [("/net/mine.py", 3), (torch.__file__, 5), (origin.__file__, 7), (torch.__file__, 9)]
    trace = "\n".join(f'  File "{file}", line {line}, in forward' for file, line in frames)
    found["add"].meta["stack_trace"] = trace
    assert line_of(found["add"]) == "mine.py:3"


def test_a_node_without_any_trace_is_of_the_network_itself():
    found, _ = nodes()
    found["add"].meta.pop("stack_trace")
    assert line_of(found["add"]) == ""
    assert layer_of(found["add"]) == "the network itself"
