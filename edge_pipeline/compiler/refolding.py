"""Requirements of a refolded artifact: loading from memory, and a place for each filter."""

from __future__ import annotations

from collections.abc import Sequence

from edge_pipeline.compiler.build import Built
from edge_pipeline.compiler.request import CompileRequest
from edge_pipeline.errors import CompileError, InputError
from edge_pipeline.runtime.base import loads_from_memory

__all__ = ["check_constants", "check_request"]


def check_request(request: CompileRequest) -> None:
    """Raise an error if the weights of a refolded request could not be exchanged at run time.

    Raises:
        InputError: If the precision is int8, whose scales depend on the weights, or no runtime here
            loads the backend's programs from memory.
    """
    if request.filters != "refolded":
        return
    if request.precision == "int8":
        raise InputError(
            "--filters refolded cannot be combined with int8, whose scales belong to the weights "
            "at compile time; give fp32 or fp16, or --filters split"
        )
    if not loads_from_memory(request.backend):
        raise InputError(
            f"--filters refolded requires a runtime that loads programs from memory, and "
            f"{request.backend} has none here; give --filters split"
        )


def check_constants(request: CompileRequest, built: Sequence[Built]) -> None:
    """Raise an error if a predicted filter of a refolded form is not stored in the program.

    Raises:
        CompileError: If a pass or the backend computed another constant from the filter.
    """
    if request.filters == "refolded" and not built[-1].spec.constants:
        why = "; ".join(built[-1].notes)
        raise CompileError(
            f"the program cannot accept other filters ({why}); compile with --filters split"
        )
