"""One program of an artifact: exported, passed through the pipeline, written by the backend."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from torch import Tensor
from torch.export import ExportedProgram

from edge_pipeline.artifact.manifest import ProgramSpec
from edge_pipeline.compiler.backends.base import Backend, Emitted, Order
from edge_pipeline.compiler.entries import Entry, Role, export
from edge_pipeline.compiler.geometry import Geometry
from edge_pipeline.compiler.pipeline import passes_for, run_passes
from edge_pipeline.compiler.program import Pass, Result
from edge_pipeline.compiler.reference import macs_of, reference_of
from edge_pipeline.compiler.shapes import Letters, tensors_of

__all__ = ["Built", "Target", "build"]


@dataclass(frozen=True)
class Target:
    """What programs are built for.

    Attributes:
        name: the backend's, in the registry.
        backend: its module.
        geometry: the network's.
        free_sizes: whether height and width stay open.
        order: precision and permissions; names and samples are each program's own.
    """

    name: str
    backend: Backend
    geometry: Geometry
    free_sizes: bool
    order: Order


@dataclass(frozen=True)
class Built:
    """A program's files, and what the manifest says of it."""

    spec: ProgramSpec
    files: dict[str, bytes]
    notes: tuple[str, ...]


def build(
    entry: Entry,
    target: Target,
    samples: Sequence[tuple[Tensor, ...]],
    on_step: Callable[[str], None],
) -> Built:
    """Build one program.

    Args:
        entry: what it is to be.
        target: what for.
        samples: for int8, inputs on which ranges are observed.
        on_step: told in a few words what is being done.

    Raises:
        CompileError: a pass or the backend cannot take the network; the layer is named.
    """
    on_step(f"{entry.name}: tracing")
    source = export(entry, target.geometry, free_sizes=target.free_sizes)

    def tell(step: Pass, _: Result) -> None:
        on_step(f"{entry.name}: {step.name}")

    program = run_passes(source, passes_for(target.name), entry.example, on_result=tell)
    on_step(f"{entry.name}: writing for {target.name}")
    order = replace(
        target.order,
        name=entry.name,
        inputs=tuple(role.name for role in entry.inputs),
        outputs=tuple(role.name for role in entry.outputs),
        samples=samples,
    )
    emitted = target.backend.emit(program, order)
    reference = f"{entry.name}.reference.safetensors"
    files = dict(emitted.files) | {reference: reference_of(entry)}
    spec = _spec(entry, program, emitted, reference)
    return Built(spec, files, emitted.notes)


def _spec(entry: Entry, program: ExportedProgram, emitted: Emitted, reference: str) -> ProgramSpec:
    letters = Letters.of(program)
    taken, given = (map(letters.shape, tensors) for tensors in tensors_of(program))
    macs = macs_of(entry)
    return ProgramSpec(
        name=entry.name,
        file=emitted.file,
        inputs=tuple(map(Role.spec, entry.inputs, taken)),
        outputs=tuple(map(Role.spec, entry.outputs, given)),
        macs=macs,
        flops=2 * macs,
        delegation=emitted.delegation,
        reference=reference,
        extra=tuple(
            name
            for name in emitted.files
            if not name.startswith(emitted.file + "/") and name != emitted.file
        ),
    )
