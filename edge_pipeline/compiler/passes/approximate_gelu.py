"""Approximate GELU by its tanh form, for half precision."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.export import ExportedProgram

from edge_pipeline.compiler.program import Editor, Result

__all__ = ["ApproximateGelu"]


class ApproximateGelu:
    """Replace the exact GELU by its tanh approximation, written with a sigmoid.

    gelu(x)                                      x [1, 16, 64, 64]
    becomes
    x * sigmoid(x * (x * x * 0.0713548 + 1.5957691))

    XNNPACK has no GELU in float16. The error of the approximation is at most 4.7e-4; float16 rounds
    values near 1 by up to 4.9e-4.

    Source: Hendrycks and Gimpel, Gaussian error linear units (2016), section 2.
    """

    name = "approximate_gelu"
    why = "XNNPACK has no GELU in float16"
    approximation = 1e-2  # later layers add up or amplify the errors of several GELUs

    def run(self, program: ExportedProgram) -> Result:
        """Return the rewritten program."""
        editor = Editor(program)
        for node in editor.calls(torch.ops.aten.gelu.default):
            operand: Any = node.args[0]
            editor.replace(node, _gelu, [operand], "GELU became its approximation with tanh")
        return editor.finish()


def _gelu(x: Tensor) -> Tensor:
    """Return x / 2 * (1 + tanh(u)), computed as x * sigmoid(2 u)."""
    twice = 2 * math.sqrt(2 / math.pi)
    return x * torch.sigmoid(x * (x * x * (0.044715 * twice) + twice))
