import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from edge_pipeline.compiler.passes.approximate_gelu import ApproximateGelu
from edge_pipeline.compiler.program import run_program
from tests.programs import exported

X = torch.linspace(-12, 12, 4096)[None]


def test_it_is_close_over_all_of_its_range():
    program = exported(F.gelu, X)
    result = ApproximateGelu().run(program)
    targets = {str(n.target) for n in result.program.graph.nodes if n.op == "call_function"}
    assert "aten.gelu.default" not in targets
    (found,), (expected,) = (run_program(p, [X]) for p in (result.program, program))
    error = float((found - expected).abs().max())
    assert 1e-4 < error < 4.8e-4


def test_each_place_is_noted_with_its_layer():
    network = nn.Sequential(nn.Conv2d(3, 3, 1), nn.GELU(), nn.GELU())
    result = ApproximateGelu().run(exported(network, torch.rand(1, 3, 4, 4)))
    assert result.notes == tuple(f"{i}: GELU became its approximation with tanh" for i in (1, 2))
    assert not ApproximateGelu().run(result.program).modified
