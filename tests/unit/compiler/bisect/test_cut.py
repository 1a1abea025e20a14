"""Any beginning of a program can be cut off, run, and gives the values of the whole."""

import pytest

pytest.importorskip("torch", reason="compiling needs torch")

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from edge_pipeline.compiler.analysis.cutting import cut_at
from edge_pipeline.compiler.bisect.correspond import correspondences
from edge_pipeline.compiler.bisect.cut import all_values, open_values, operators_of
from edge_pipeline.compiler.program import run_program
from tests.programs import exported
from tests.selection import examples


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(2, 4, 3, padding=1)
        self.second = nn.Conv2d(4, 4, 1)
        self.norm = nn.BatchNorm2d(4)

    def forward(self, x, y):
        a = torch.relu(self.first(x))
        b = self.norm(self.second(a)) + y
        return torch.cat([a, b.sum((2, 3), keepdim=True).expand_as(b)], 1), b


torch.manual_seed(0)
PROGRAM = exported(Net(), torch.randn(1, 2, 6, 8), torch.randn(1, 4, 6, 8))


@examples(20)
@given(st.integers(0, len(operators_of(PROGRAM)) - 1), st.integers(0, 99))
def test_every_beginning(last, seed):
    torch.manual_seed(seed)
    inputs = (torch.randn(1, 2, 6, 8), torch.randn(1, 4, 6, 8))
    text = str(PROGRAM.graph)
    nodes = open_values(PROGRAM, last)
    if not nodes:
        return
    part = cut_at(PROGRAM, nodes)
    values = all_values(PROGRAM, inputs)
    for node, found in zip(nodes, run_program(part, inputs), strict=True):
        assert torch.allclose(found.double(), values[node.name], atol=1e-5)
    assert len(operators_of(part)) <= last + 1
    assert str(PROGRAM.graph) == text
    assert part.graph_signature.user_inputs == PROGRAM.graph_signature.user_inputs


def test_the_last_cut_is_the_whole():
    last = len(operators_of(PROGRAM)) - 1
    assert {n.name for n in open_values(PROGRAM, last)} == set(PROGRAM.graph_signature.user_outputs)


def test_values_are_in_double_precision():
    values = all_values(PROGRAM, (torch.randn(1, 2, 6, 8), torch.randn(1, 4, 6, 8)))
    assert {v.dtype for v in values.values() if v.is_floating_point()} == {torch.float64}


def test_a_program_corresponds_to_itself():
    pairs = list(correspondences(PROGRAM, PROGRAM))
    assert [a.name for a, _ in pairs] == [n.name for n in operators_of(PROGRAM)]
    assert all(a is b for a, b in pairs)
