"""The rounding errors of a program, and the check that a pass changes outputs by no more."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, fx
from torch.export import ExportedProgram
from torch.utils import _pytree as pytree

from edge_pipeline.compiler.program import Pass, arguments_of
from edge_pipeline.errors import CompileError

__all__ = ["check_outputs", "rounding_errors"]

# A program that amplifies rounding errors has large errors itself, as a comparison with float64
# shows. A program with another order of operators may differ by this many times that error.
_TIMES_ITS_OWN = 10


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
    return [float((a.double() - b.double()).abs().max()) for a, b in zip(found, exact, strict=True)]


def _error(new: Tensor, old: Tensor) -> float:
    """Return the largest difference; for 8-bit integers that differ by at most 1, the mean one.

    A rounding error turns one integer into the next where a value lies between the two.
    """
    error = (new.double() - old.double()).abs()
    largest = float(error.max())
    is_byte = old.dtype in (torch.uint8, torch.int8)
    return float(error.mean()) if is_byte and largest <= 1 else largest


def check_outputs(
    step: Pass,
    found: Sequence[Tensor],
    expected: Sequence[Tensor],
    own: Callable[[], list[float]],
    tolerance: float,
) -> None:
    """Check that a pass did not change the outputs of a program by more than rounding does.

    Args:
        step: The pass, for the messages.
        found: Outputs after the pass.
        expected: Outputs before it.
        own: Function that returns the program's own rounding errors, for each output; it is called
            only if a difference exceeds the tolerance.
        tolerance: Difference that is always allowed, relative to the largest magnitude of an output
            and to 1.

    Raises:
        CompileError: If the outputs differ by more, or have another number or shape.
    """
    if len(found) != len(expected):
        raise CompileError(f"the pass {step.name} turned {len(expected)} outputs into {len(found)}")
    for i, (new, old) in enumerate(zip(found, expected, strict=True)):
        if new.shape != old.shape:
            raise CompileError(
                f"the pass {step.name} reshaped output {i} to {tuple(new.shape)}; expected "
                f"{tuple(old.shape)}"
            )
        scale = max(1.0, float(old.double().abs().max()))
        error = _error(new, old)
        # Written such that NaN fails too.
        if error <= tolerance * scale:
            continue
        allowed = max(tolerance * scale, _TIMES_ITS_OWN * own()[i])
        if not error <= allowed:
            raise CompileError(
                f"the pass {step.name} changed output {i} by {error:.3g}, and at most "
                f"{allowed:.3g} is allowed; this is a fault of the compiler"
            )
