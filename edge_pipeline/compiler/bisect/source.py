"""Bisecting what `compile` would make of a source: the same programs, passes and backend."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from edge_pipeline.compare import Tolerance
from edge_pipeline.compiler.backends.base import open_backend
from edge_pipeline.compiler.bisect.search import Finding, bisect
from edge_pipeline.compiler.pipeline import passes_for
from edge_pipeline.compiler.preparing import open_network, prepared, with_listed_files
from edge_pipeline.compiler.program import Pass
from edge_pipeline.compiler.request import CompileRequest
from edge_pipeline.errors import InputError
from edge_pipeline.runtime.base import runtime_named

__all__ = ["bisect_source"]


def bisect_source(
    request: CompileRequest,
    *,
    tolerance: float | None = None,
    passes: Sequence[Pass] | None = None,
    on_step: Callable[[str], None] = lambda _: None,
) -> Iterator[tuple[str, Finding | None]]:
    """For each program that the request would be compiled to, its name and what is found.

    Args:
        request: as for `compile_model`; nothing is written, so its output is not looked at.
        tolerance: largest relative error, in the place of the precision's own tolerance.
        passes: in the place of the backend's.
        on_step: told in a few words which step runs.

    Raises:
        InputError: an option, size, capture or checkpoint cannot be used.
        MissingExtraError: the backend's packages are not installed.
        CompileError: the network cannot be compiled.
    """
    backend = open_backend(request.backend, request.precision, request.device)
    backend.require()
    if backend.checked() == "not_run":
        raise InputError(
            f"what is written for {request.backend} cannot be run here; bisect runs it"
        )
    request = with_listed_files(request)
    on_step("building the network")
    ready = prepared(open_network(request), request, backend, on_step=on_step)
    if passes is None:
        passes = passes_for(request.backend, request.device, request.precision)
    for entry in ready.form.entries:
        found = bisect(
            entry.program,
            entry.example,
            passes,
            backend,
            ready.options_of(entry),
            runtime_named(request.backend).open_session,
            tolerance=None if tolerance is None else Tolerance(max_rel=tolerance),
            tell=_prefixed(entry.name, on_step),
        )
        yield entry.name, found


def _prefixed(name: str, on_step: Callable[[str], None]) -> Callable[[str], None]:
    return lambda text: on_step(f"{name}: {text}")
