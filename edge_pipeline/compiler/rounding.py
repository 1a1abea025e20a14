"""The rounding errors of a program."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, fx
from torch.export import ExportedProgram
from torch.utils import _pytree as pytree

from edge_pipeline.compiler.program import arguments_of

__all__ = ["rounding_errors"]


class _InDouble(fx.Interpreter):
    """An interpreter that computes in float64 wherever a program asks for float32."""

    def call_function(self, target: Any, args: Any, kwargs: Any) -> Any:
        wider = pytree.tree_map(_wider, (args, kwargs))
        return super().call_function(target, *wider)


def _wider(value: Any) -> Any:
    if isinstance(value, Tensor) and value.dtype == torch.float32:
        return value.double()
    return torch.float64 if value is torch.float32 else value


def rounding_errors(
    program: ExportedProgram, inputs: Sequence[Tensor], found: Sequence[Tensor]
) -> list[float]:
    """Return the largest difference of each output between float32 and float64.

    Args:
        program: Program whose user inputs are tensors.
        inputs: One float32 tensor for each user input.
        found: Outputs of the program for these inputs in float32.

    Returns:
        One number for each output; zeros if the program cannot run in float64.
    """
    arguments = map(_wider, arguments_of(program, inputs))
    try:
        with torch.no_grad():
            outputs = pytree.tree_leaves(_InDouble(program.graph_module).run(*arguments))
    except (RuntimeError, TypeError, NotImplementedError):
        return [0.0] * len(found)
    exact = [value for value in outputs if isinstance(value, Tensor)]
    return [float((a - b).abs().max()) for a, b in zip(found, exact, strict=True)]
