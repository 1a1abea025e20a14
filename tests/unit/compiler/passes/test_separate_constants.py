import subprocess
import sys

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from edge_pipeline.compiler.passes.separate_constants import SeparateConstants
from edge_pipeline.compiler.program import constants_of
from tests.programs import exported, run_checked


class Shared(nn.Module):
    """A convolution and a linear layer, whose constants of these names are read once more."""

    def __init__(self, *names):
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.linear, self.names = nn.Conv2d(3, 8, 3), nn.Linear(8, 8), names

    def forward(self, x):
        y = self.conv(x)
        z = self.linear(y.mean((2, 3)))
        constants = [self.get_parameter(name) for name in self.names]
        return y, *[c * z.reshape(8, *[1] * (c.dim() - 1)) for c in constants]


class Sequence(nn.Module):
    """Two convolutions with the same weights, which need no copy."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3)

    def forward(self, x):
        return self.conv(self.conv(x))


ALL = ["conv.weight", "conv.bias", "linear.weight", "linear.bias"]


@pytest.mark.parametrize("which", ALL)
def test_what_is_packed_is_read_from_a_copy(which):
    x = torch.rand(1, 3, 9, 9)
    program = exported(Shared(which), x)
    result = run_checked(SeparateConstants(), program, x, tolerance=0)
    assert len(constants_of(result.program)) == len(constants_of(program)) + 1
    (note,) = result.notes
    assert "reads a copy" in note


def test_layers_that_pack_alike_share():
    x = torch.rand(1, 3, 9, 9)
    assert not run_checked(SeparateConstants(), exported(Sequence(), x), x).modified


def test_a_constant_map_is_no_weight():
    """The first argument of a convolution is not packed."""
    x, held = torch.rand(4, 3, 3, 3), torch.rand(1, 3, 9, 9)
    program = exported(lambda x: F.conv2d(held, x).sum() + held, x)
    assert not run_checked(SeparateConstants(), program, x).modified


def test_the_program_runs_in_executorch(tmp_path):
    """In a process of its own, since it would end this one."""
    pytest.importorskip("executorch.exir", reason="the extra executorch is not installed")
    script = (
        "import torch, sys, edge_pipeline\n"
        "from tests.unit.compiler.passes.test_separate_constants import ALL, Shared\n"
        "edge_pipeline.compile(Shared(*ALL), [torch.rand(1, 3, 9, 9)], sys.argv[1],"
        " backend='executorch')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "a")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
