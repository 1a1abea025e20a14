import torch
from torch import nn
from torch.export import Dim

from edge_pipeline.compiler.source.shapes import Letters, tensors_of


class Sum(nn.Module):
    def forward(self, signal, x):
        return x.repeat_interleave(2, 2) * signal.mean()


def test_letters_are_those_of_the_first_map():
    h, w = Dim("h", min=2, max=64), Dim("w", min=2, max=64)
    program = torch.export.export(
        Sum(), (torch.rand(1, 3), torch.rand(1, 4, 8, 6)), dynamic_shapes=(None, {2: 4 * h, 3: w})
    )
    inputs, outputs = tensors_of(program)
    letters = Letters.of(program)
    assert [letters.shape(value) for value in inputs] == [(1, 3), (1, 4, "4*h", "w")]
    assert [letters.shape(value) for value in outputs] == [(1, 4, "8*h", "w")]


def test_a_program_without_maps_has_no_letters():
    program = torch.export.export(nn.Linear(3, 2), (torch.rand(1, 3),))
    assert Letters.of(program).by_symbol == {}
