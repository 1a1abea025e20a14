"""Bisection of a source network, with the programs, passes and backend that `compile` uses."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from torch.export import ExportedProgram

from edge_pipeline.compare import Tolerance
from edge_pipeline.compiler.backends.base import EmitOptions, open_backend
from edge_pipeline.compiler.bisect.search import Finding, bisect
from edge_pipeline.compiler.mixed import mixtures, resolved
from edge_pipeline.compiler.pipeline import passes_for
from edge_pipeline.compiler.preparing import (
    Prepared,
    open_network,
    prepared,
    with_listed_files,
)
from edge_pipeline.compiler.program import Pass
from edge_pipeline.compiler.request import CompileRequest
from edge_pipeline.compiler.source.entries import Entry
from edge_pipeline.errors import InputError, TooManyInFloatError
from edge_pipeline.runtime.base import runtime_named

__all__ = ["bisect_source"]


def bisect_source(
    request: CompileRequest,
    *,
    tolerance: float | None = None,
    passes: Sequence[Pass] | None = None,
    on_step: Callable[[str], None] = lambda _: None,
) -> Iterator[tuple[str, Finding | None]]:
    """Yield the name and the finding of each program that `compile` would build.

    Args:
        request: Request as for `compile_model`; its output is ignored, since nothing is written.
        tolerance: Largest relative error; if None, the tolerance of the precision.
        passes: Passes to check; if None, those of the backend.
        on_step: Function that is called with a short description of each step.

    Raises:
        InputError: If an option, size, capture or checkpoint cannot be used.
        MissingExtraError: If the backend's packages are not installed.
        CompileError: If the network cannot be compiled.
    """
    backend = open_backend(request.backend, request.precision, request.target)
    backend.require()
    if backend.checked() == "not_run":
        raise InputError(
            f"bisect runs the compiled programs, and those of {request.backend} cannot run here"
        )
    request = with_listed_files(request)
    on_step("building the network")
    ready = prepared(open_network(request), request, backend, on_step=on_step)
    if passes is None:
        passes = passes_for(request.backend, request.target, request.precision)
    for entry in ready.form.entries:
        found = bisect(
            entry.program,
            entry.example,
            passes,
            backend,
            ready.options_of(entry),
            runtime_named(request.backend).open_session,
            tolerance=None if tolerance is None else Tolerance(max_rel=tolerance),
            others=_mixtures(ready, entry),
            on_step=_prefixed(entry.name, on_step),
        )
        yield entry.name, found


def _mixtures(ready: Prepared, entry: Entry) -> Callable[[ExportedProgram], Iterator[EmitOptions]]:
    """Return the options with which `compile` writes a program again, with layers in float32."""

    def options(program: ExportedProgram) -> Iterator[EmitOptions]:
        for again in mixtures(ready):
            try:
                yield resolved(entry.name, program, again.options_of(entry))[0]
            except TooManyInFloatError:
                return

    return options


def _prefixed(name: str, on_step: Callable[[str], None]) -> Callable[[str], None]:
    return lambda text: on_step(f"{name}: {text}")
