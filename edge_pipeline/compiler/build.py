"""Build one program of an artifact: run the passes on it and write it with the backend."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.export import ExportedProgram

from edge_pipeline.artifact.constants import Twin
from edge_pipeline.artifact.manifest import ProgramSpec
from edge_pipeline.artifact.schema import Precision
from edge_pipeline.artifact.tensors import TensorSpec
from edge_pipeline.compiler.analysis.exchange import Exchange, LostMarker
from edge_pipeline.compiler.backends.base import Backend, EmitOptions, Emitted
from edge_pipeline.compiler.mixed import resolved
from edge_pipeline.compiler.notes import summarised
from edge_pipeline.compiler.pipeline import passes_for, run_passes
from edge_pipeline.compiler.program import Pass, Result, approximation_of, run_program
from edge_pipeline.compiler.source.entries import Entry, Role
from edge_pipeline.compiler.source.graph import graph_bytes
from edge_pipeline.compiler.source.reference import macs_of, reference_of
from edge_pipeline.compiler.source.shapes import Letters, dtype_of, tensors_of
from edge_pipeline.compiler.source.size_places import sizes_of
from edge_pipeline.proof.variation import with_variation

__all__ = ["Built", "Passed", "Target", "build", "graph_file", "is_finite", "passed", "varied"]


@dataclass(frozen=True)
class Target:
    """The backend and device profile that programs are built for.

    Attributes:
        name: Name of the backend in the registry.
        backend: Module of the backend.
        profile: Device profile whose measured costs decide how convolutions are lowered.
        on_step: Function that is called with a short description of each step.
        without: Names of passes that are left out.
    """

    name: str
    backend: Backend
    profile: str
    on_step: Callable[[str], None]
    without: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Built:
    """A program's files, its entry in the manifest, and its notes."""

    spec: ProgramSpec
    files: dict[str, bytes]
    notes: tuple[str, ...]

    def compact(self) -> Built:
        """Return the program without its graph, so that eager cannot run it."""
        files = {name: data for name, data in self.files.items() if name != self.spec.graph}
        return replace(self, files=files, spec=self.spec.model_copy(update={"graph": None}))


def build(entry: Entry, target: Target, options: EmitOptions) -> Built:
    """Build one program.

    Args:
        entry: Traced program and the roles of its tensors.
        target: Backend and device profile.
        options: Options of the backend.

    Raises:
        CompileError: If a pass or the backend cannot compile the network; the layer is named.
    """
    source = entry.program
    notes: tuple[str, ...] = ()
    if entry.weights and options.precision != "int8":  # int8 scales depend on the weights
        try:
            return _build_exchangeable(source, entry, target, options)
        except LostMarker as reason:
            notes = (f"its weights cannot be exchanged: {reason}",)
    built = _write(source, entry, target, options)
    return replace(built, notes=built.notes + notes, spec=varied(built.spec, entry))


def _build_exchangeable(
    source: ExportedProgram, entry: Entry, target: Target, options: EmitOptions
) -> Built:
    """Build the program with markers as weights, then overwrite the markers with the weights."""
    exchange = Exchange.of(source, entry.weights)
    if not is_finite(exchange.program, entry):
        raise LostMarker("with other weights, the network's outputs are not finite")
    marked = _write(exchange.program, entry, target, options)
    other = exchange.twin() if options.precision == "fp16" else None
    twin: Twin | None = None
    if other is not None:
        twin = Twin(_write(other.program, entry, target, options).files, other.markers)
    files, constants = exchange.settle(marked.files, graph_file(entry), twin)
    spec = marked.spec.model_copy(update={"constants": constants})
    return Built(varied(spec, entry), files, marked.notes)


def is_finite(program: ExportedProgram, entry: Entry) -> bool:
    """Return whether all outputs of a program are finite for the entry's example."""
    return all(bool(value.isfinite().all()) for value in run_program(program, entry.example))


def varied(spec: ProgramSpec, entry: Entry) -> ProgramSpec:
    """Return `spec` with the variation of its outputs over different inputs, computed eagerly."""

    def run(inputs: dict[str, NDArray[np.float32]]) -> dict[str, NDArray[np.float32]]:
        given = entry.run(tuple(torch.from_numpy(inputs[role.name]) for role in entry.inputs))
        outputs = zip(entry.outputs, given, strict=True)
        return {role.name: value.detach().numpy() for role, value in outputs}

    pairs = zip(entry.inputs, entry.example, strict=True)
    return with_variation(spec, {role.name: value.numpy() for role, value in pairs}, run)


def graph_file(entry: Entry) -> str:
    """Return the name of the file with an entry's graph."""
    return f"{entry.name}.graph.safetensors"


@dataclass(frozen=True)
class Passed:
    """A program after the passes, which the backend writes.

    Attributes:
        source: The program before the passes.
        program: The program after them.
        entry: The roles of its tensors.
        changes: Notes of each pass, for the manifest.
        notes: Notes on approximations, for the user.
    """

    source: ExportedProgram
    program: ExportedProgram
    entry: Entry
    changes: dict[str, tuple[str, ...]]
    notes: tuple[str, ...]

    def built(self, emitted: Emitted) -> Built:
        """Return the files and the manifest entry of the written program."""
        entry = self.entry
        macs = macs_of(self.source, entry.example)
        spec = _spec(entry, self.program, emitted, macs, self.changes)
        files = dict(emitted.files)
        files[spec.reference] = reference_of(entry)
        files[graph_file(entry)] = graph_bytes(self.source)
        if entry.columns is not None:
            sizes = sizes_of(files[graph_file(entry)], emitted.sizes, entry.columns)
            spec = spec.model_copy(update={"sizes": sizes})
        return Built(spec, files, (*emitted.notes, *self.notes))


def _write(source: ExportedProgram, entry: Entry, target: Target, options: EmitOptions) -> Built:
    """Run the passes and the backend; return the files and the manifest entry."""
    ready = passed(source, entry, target, options.precision)
    if options.least_db is not None:
        target.on_step(f"{entry.name}: measuring the error of each layer in int8")
    options, notes = resolved(entry.name, ready.program, options)
    ready = replace(ready, notes=(*ready.notes, *notes))
    target.on_step(f"{entry.name}: writing for {target.name}")
    return ready.built(target.backend.emit(ready.program, options))


def passed(source: ExportedProgram, entry: Entry, target: Target, precision: Precision) -> Passed:
    """Run the passes on a program.

    Raises:
        CompileError: If a pass cannot compile the network; the layer is named.
    """
    passes = [
        step
        for step in passes_for(target.name, target.profile, precision)
        if step.name not in target.without
    ]
    changes: dict[str, tuple[str, ...]] = {}
    notes: list[str] = []

    def on_result(step: Pass, result: Result) -> None:
        target.on_step(f"{entry.name}: {step.name}")
        if result.notes:
            lines = summarised(result.notes)
            changes[step.name] = changes.get(step.name, ()) + lines
            notes.extend(lines if approximation_of(step) else ())

    for value in tensors_of(source)[1]:
        dtype_of(value)  # refuses other types before the work
    program = run_passes(source, passes, entry.example, on_result=on_result)
    return Passed(source, program, entry, changes, tuple(notes))


def _spec(
    entry: Entry,
    program: ExportedProgram,
    emitted: Emitted,
    macs: int,
    changes: dict[str, tuple[str, ...]],
) -> ProgramSpec:
    letters = Letters.of(program)
    taken, given = tensors_of(program)

    def spec(role: Role, value: Tensor) -> TensorSpec:
        return role.spec(letters.shape(value), dtype_of(value))

    model = emitted.file
    return ProgramSpec(
        name=entry.name,
        file=model,
        inputs=tuple(map(spec, entry.inputs, taken)),
        outputs=tuple(map(spec, entry.outputs, given)),
        macs=macs,
        flops=2 * macs,
        delegation=emitted.delegation,
        reference=f"{entry.name}.reference.safetensors",
        extra=(
            *(f for f in emitted.files if f != model and not f.startswith(f"{model}/")),
            *emitted.shared,
        ),
        graph=graph_file(entry),
        passes=changes,
    )
