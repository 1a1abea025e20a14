import torch
import torch.nn.functional as F  # noqa: N812

from edge_pipeline.compiler.passes.state_biases import StateBiases
from tests.programs import exported, run_checked

INPUTS = (torch.randn(1, 2, 4, 5, 6), torch.randn(3, 2, 2, 3, 3))


def test_a_missing_bias_becomes_zeros():
    result = run_checked(StateBiases(), exported(lambda x, w: F.conv3d(x, w), *INPUTS), *INPUTS)
    assert result.modified
    assert "has a bias of zeros" in result.notes[0]


def test_a_bias_stays():
    program = exported(lambda x, w: F.conv3d(x, w, w.amax((1, 2, 3, 4))), *INPUTS)
    assert not run_checked(StateBiases(), program, *INPUTS).modified
