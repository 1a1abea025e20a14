"""Build a program for each of several values of a fixed number, all of them in one file.

The backend stores equal constants of the programs once. Weights that can be exchanged are never
shared, since the programs are written with different markers in their place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import cast

from torch.export import ExportedProgram

from edge_pipeline.artifact.constants import Twin, overlapping, patch
from edge_pipeline.artifact.manifest import ProgramSpec
from edge_pipeline.compiler.analysis.exchange import Exchange, LostMarker
from edge_pipeline.compiler.backends.base import Backend, EmitOptions, EmitSeveral
from edge_pipeline.compiler.build import Built, Target, graph_file, is_finite, passed, varied
from edge_pipeline.compiler.mixed import resolved
from edge_pipeline.compiler.preparing import Prepared, prepared
from edge_pipeline.compiler.request import CompileRequest
from edge_pipeline.compiler.source.entries import Entry
from edge_pipeline.compiler.source.forms import Form, form_of
from edge_pipeline.compiler.source.network import SourceNetwork
from edge_pipeline.errors import InputError

__all__ = ["build_several", "check_several", "several_prepared"]

_NAME = "forward"


def check_several(request: CompileRequest, backend: Backend) -> None:
    """Raise `InputError` if the request's several values cannot be compiled into one artifact."""
    for name, values in request.several.items():
        said = ", ".join(f"{value:g}" for value in values)
        if getattr(backend, "MOVABLE", False):
            raise InputError(
                f"one {request.backend} artifact serves every {name}; give one value instead of "
                f"{said}, and --respecialisable"
            )
        if not hasattr(backend, "emit_several"):
            raise InputError(
                f"a program of {request.backend} has one {name}, not {said}; give one value"
            )
        if len(request.several) > 1:
            raise InputError(f"give several values of one number, not of {name} and others")
        if request.filters != "dynamic":
            raise InputError(
                f"--filters {request.filters} cannot be combined with several values of {name} "
                f"({said}); leave out one of them"
            )
        if name in request.fixed:
            raise InputError(f"{name} is fixed twice; give it one value")
        # Written such that NaN is refused too.
        if len(values) < 2 or not all(low < high for low, high in pairwise(values)):
            raise InputError(
                f"give two or more values of {name} in ascending order, got {said or 'none'}"
            )


def several_prepared(
    network: SourceNetwork, request: CompileRequest, target: Target
) -> tuple[Prepared, tuple[Form, ...]]:
    """Trace the network for each of the request's several values.

    Args:
        network: Network with the last value.
        request: Request with several values of one number.
        target: Backend and device profile.

    Returns:
        The prepared programs, whose form has those for all values, and the form of each value.

    Raises:
        InputError: If the network does not support a value, or cannot be compiled in the form.
        CompileError: If the network cannot be traced.
    """
    ((name, values),) = request.several.items()
    ready = prepared(network, request, target.backend, on_step=target.on_step)
    forms = []
    for number, value in enumerate(values, 1):
        own = ready.form
        if value != values[-1]:
            target.on_step(f"tracing {name}={value:g}")
            fixed = ready.network.with_fixed({**ready.network.fixed, name: value})
            own = form_of(fixed, "dynamic", (), respecialisable=request.respecialisable)
        (entry,) = own.entries
        forms.append(replace(own, entries=(replace(entry, name=f"{_NAME}_{number}"),)))
    whole = replace(
        ready.form,
        filters="specialised" if any(f.filters == "specialised" for f in forms) else "dynamic",
        entries=tuple(entry for form in forms for entry in form.entries),
        curve=None,
        notes=tuple(dict.fromkeys(note for form in forms for note in form.notes)),
    )
    return replace(ready, form=whole), tuple(forms)


def build_several(
    forms: Sequence[Form], ready: Prepared, request: CompileRequest, target: Target
) -> list[Built]:
    """Build the programs for all values.

    Args:
        forms: Form of each value, with one entry.
        ready: The prepared programs.
        request: Request with several values of one number.
        target: Backend, with a function `emit_several`, and device profile.

    Raises:
        CompileError: If a pass or the backend cannot compile the network; the layer is named.
    """
    entries = ready.form.entries
    options = [ready.options_of(entry) for entry in entries]
    ((name, values),) = request.several.items()
    common = ready.network.recorded_fixed()
    found = []
    for built, form, value in zip(_built(entries, target, options), forms, values, strict=True):
        (entry,) = form.entries
        files, curve = built.files, None
        if form.curve is not None:
            curve = f"{entry.name}.curve.safetensors"
            files = files | {curve: form.curve.content()}
        update = {"fixed": {**common, name: value}, "curve": curve}
        spec = varied(built.spec.model_copy(update=update), entry)
        found.append(replace(built, files=files, spec=spec))
    return found


def _built(entries: Sequence[Entry], target: Target, options: Sequence[EmitOptions]) -> list[Built]:
    notes: tuple[str, ...] = ()
    # int8 scales depend on the weights.
    if all(entry.weights for entry in entries) and options[0].precision != "int8":
        try:
            return _exchangeable(entries, target, options)
        except LostMarker as reason:
            notes = (f"its weights cannot be exchanged: {reason}",)
    built = _written([entry.program for entry in entries], entries, target, options)
    return [replace(one, notes=one.notes + notes) for one in built]


def _exchangeable(
    entries: Sequence[Entry], target: Target, options: Sequence[EmitOptions]
) -> list[Built]:
    """Build programs with markers as weights, then overwrite the markers with the weights."""
    exchanges = [Exchange.of(e.program, e.weights, i) for i, e in enumerate(entries)]
    for exchange, entry in zip(exchanges, entries, strict=True):
        if not is_finite(exchange.program, entry):
            raise LostMarker("with other weights, the network's outputs are not finite")
    marked = _written([one.program for one in exchanges], entries, target, options)
    twins = _twins(exchanges, entries, target, options)
    shared = _shared(marked)
    specs, settled = [], dict(shared)
    for one, exchange, entry, twin in zip(marked, exchanges, entries, twins, strict=True):
        graph = graph_file(entry)
        own = {graph: one.files[graph]}
        _, constants = exchange.settle(shared | own, graph, twin)
        settled |= patch(settled | own, constants, exchange.weights)
        specs.append(one.spec.model_copy(update={"constants": constants}))
    _check_apart(specs)
    return [
        replace(one, spec=spec, files={n: settled.get(n, own) for n, own in one.files.items()})
        for one, spec in zip(marked, specs, strict=True)
    ]


def _check_apart(specs: Sequence[ProgramSpec]) -> None:
    """Raise LostMarker if weights of two programs have a place in common."""
    found = overlapping(
        [
            constant.model_copy(update={"name": f"{constant.name} of {spec.name}"})
            for spec in specs
            for constant in spec.constants
        ]
    )
    if found is not None:
        raise LostMarker(f"{found[0]} and {found[1]} were found at the same place")


def _twins(
    exchanges: Sequence[Exchange],
    entries: Sequence[Entry],
    target: Target,
    options: Sequence[EmitOptions],
) -> list[Twin | None]:
    """Return the same programs with other markers for short weights, if these need them."""
    others = [exchange.twin() for exchange in exchanges]
    if options[0].precision != "fp16" or not any(others):
        return [None] * len(exchanges)
    both = [other or own for own, other in zip(exchanges, others, strict=True)]
    written = _written([one.program for one in both], entries, target, options)
    return [
        None if other is None else Twin(one.files, other.markers)
        for one, other in zip(written, others, strict=True)
    ]


def _shared(built: Sequence[Built]) -> dict[str, bytes]:
    """Return the files that contain all programs."""
    spec = built[0].spec
    return {name: built[0].files[name] for name in (spec.file, *spec.extra)}


def _written(
    sources: Sequence[ExportedProgram],
    entries: Sequence[Entry],
    target: Target,
    options: Sequence[EmitOptions],
) -> list[Built]:
    """Run the passes on each program, and write all of them into one file."""
    precision = options[0].precision
    ready = [passed(*one, target, precision) for one in zip(sources, entries, strict=True)]
    if options[0].least_db is not None:
        target.on_step("measuring the error of each layer in int8")
    settled = [
        resolved(entry.name, one.program, own)
        for entry, one, own in zip(entries, ready, options, strict=True)
    ]
    target.on_step(f"writing {len(ready)} programs for {target.name}")
    emit = cast(EmitSeveral, target.backend.emit_several)  # type: ignore[attr-defined]
    emitted = emit([one.program for one in ready], [own for own, _ in settled], _NAME)
    return [
        replace(one, notes=(*one.notes, *notes)).built(written)
        for one, written, (_, notes) in zip(ready, emitted, settled, strict=True)
    ]
