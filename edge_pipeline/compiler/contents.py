"""Assemble the files and the manifest of an artifact from the programs that were built."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple, cast

from edge_pipeline.artifact.manifest import Checked, Manifest, ProgramSpec, Stage
from edge_pipeline.artifact.provenance import Calibration, Loss
from edge_pipeline.compiler.backends.base import Backend
from edge_pipeline.compiler.build import Built
from edge_pipeline.compiler.passes.lower_convolution import LowerConvolution
from edge_pipeline.compiler.pipeline import passes_for
from edge_pipeline.compiler.precision.accuracy import Run, Trial, loss_of, trial_for, trial_like
from edge_pipeline.compiler.proof import board_notes, compiled_run, dead_output_warnings, prove
from edge_pipeline.compiler.request import CompileRequest
from edge_pipeline.compiler.source import entries
from edge_pipeline.compiler.source.entries import Entry
from edge_pipeline.compiler.source.findings import is_worth_splitting
from edge_pipeline.compiler.source.forms import Form
from edge_pipeline.compiler.source.network import SourceNetwork
from edge_pipeline.compiler.source.streaming import StageEntries
from edge_pipeline.device_profile import load_profile
from edge_pipeline.models.cost import cost_of_name
from edge_pipeline.record import COST_FILE
from edge_pipeline.registry import BACKENDS, MODELS

__all__ = ["ArtifactContents", "BuiltStage", "Proof"]

_CURVE = "curve.safetensors"


class Proof(NamedTuple):
    """The result of running the programs that were built.

    Attributes:
        checked: How far the programs could be checked on this machine.
        losses: Losses of picture quality by folding and by precision.
        notes: Notes for the manifest, one sentence each.
    """

    checked: Checked
    losses: tuple[Loss, ...]
    notes: tuple[str, ...]


class BuiltStage(NamedTuple):
    """A stage of a streamed predictor, and its built programs."""

    entries: StageEntries
    maps: Built
    filters: Built

    @classmethod
    def of(cls, entries: StageEntries, build: Callable[[Entry], Built]) -> BuiltStage:
        """Build the stage's programs, without graphs, which `predict_filters` has too."""
        return cls(entries, build(entries.maps).compact(), build(entries.filters).compact())

    @property
    def stage(self) -> Stage:
        """The manifest's entry."""
        return self.entries.stage(self.maps.spec, self.filters.spec)


@dataclass(frozen=True)
class ArtifactContents:
    """The request, the network and the built programs, from which the artifact is assembled."""

    request: CompileRequest
    network: SourceNetwork
    form: Form
    built: tuple[Built, ...]
    stages: tuple[BuiltStage, ...]
    observed: Calibration | None
    tools: dict[str, str]

    def files(self) -> dict[str, bytes | Path]:
        """Return the artifact's files except the manifest."""
        files: dict[str, bytes | Path] = {}
        if self.network.source.model in MODELS:
            files[COST_FILE] = self._cost()
        for one in self._every_built():
            files |= one.files
        curve = self.form.curve
        return files if curve is None else files | {_CURVE: curve.content()}

    def prove(self, folder: Path) -> Proof:
        """Run the programs in `folder`, if this machine can, and compare them with eager.

        Raises:
            CompileError: If a program's outputs differ from eager's.
            VerificationError: If an output has another shape than eager's, or is not finite.
            RuntimeFailure: If a program does not run.
        """
        request, specs = self.request, self.specs
        backend = cast(Backend, BACKENDS.load(request.backend))
        checked = backend.checked()
        after: Run | None = None
        if checked != "not_run":
            space = self.network.card.output_space
            every = [one.spec for one in self._every_built()]
            prove(folder, request.backend, every, request.precision, space)
            ports = [port.name for port in self.network.geometry.inputs]
            path = specs[-1:] if request.several else specs
            after = compiled_run(folder, request.backend, path, ports, self.form.window)
        dead = dead_output_warnings(folder, specs[-1], request.precision)
        notes = []
        if request.backend == "litert":
            notes += board_notes(folder, specs, request.precision, request.tflite_runtime)
        # The loss of an output that ignores its input is meaningless.
        losses = () if dead else self._losses(after)
        return Proof(checked, losses, (*notes, *dead))

    def manifest(self, proof: Proof) -> Manifest:
        """Return the manifest without the files' hashes."""
        request, form = self.request, self.form
        notes = [note for one in self._every_built() for note in one.notes] + _advice(self.specs)
        notes += [*form.notes, *_costs_notes(request)]
        return Manifest(
            source=self.network.source,
            backend=request.backend,
            precision=request.precision,
            filters=form.filters,
            fixed=self.network.recorded_fixed(),
            checked=proof.checked,
            programs=tuple(self.specs),
            stages=tuple(one.stage for one in self.stages),
            tile=self.network.geometry.tile(),
            calibration=form.calibration,
            precision_calibration=self.observed,
            losses=proof.losses,
            curve=None if form.curve is None else _CURVE,
            card=self.network.card,
            tools=dict(sorted(self.tools.items())),
            notes=tuple(dict.fromkeys((*notes, *proof.notes))),
            created=datetime.now(UTC),
        )

    @property
    def specs(self) -> list[ProgramSpec]:
        """The programs' descriptions, in order."""
        return [one.spec for one in self.built]

    def _every_built(self) -> list[Built]:
        """Return the programs of the stages, then those of the deployment form."""
        return [*(program for one in self.stages for program in one[1:]), *self.built]

    def _cost(self) -> bytes:
        """Return the network's cost at the reference input, for devices without torch."""
        source = self.network.source
        entry = self.form.entries[-1]
        shape = tuple(entry.example[0].shape[1:])
        fixed, trimmed = self.network.recorded_fixed(), self.request.trimmed
        cost = cost_of_name(source.model, source.options, shape, fixed, trimmed=trimmed)
        if self.form.filters in ("folded", "specialised"):
            cost = cost.on_path()
        return cost.json_text().encode()

    def _trial_size(self) -> tuple[int, int]:
        """Return the height and width at which losses are measured, for all backends alike.

        The size of the reference input is not used, since it is smaller if sizes are free.
        """
        return self.network.geometry.size(self.request.size, free=False)

    def _trial(self) -> Trial:
        """Return the validation set; inputs similar to the example if some are integers."""
        if not all(value.is_floating_point() for value in self.network.example):
            return trial_like(self.network.example)
        return trial_for(
            self.network.geometry,
            self.network.card,
            self._trial_size(),
            self.request.validation,
            trained=self.network.source.seed is None,
        )

    def _losses(self, after: Run | None) -> tuple[Loss, ...]:
        """Return the losses by folding (measured in eager) and by precision (in the runtime)."""
        narrow = self.request.precision != "fp32" and after is not None
        if self.form.filters != "folded" and not narrow:
            return ()
        trial = self._trial()
        losses = []
        if self.form.filters == "folded":
            # Folding has already exported the network, so this costs little.
            whole = Form("dynamic", (entries.dynamic(self.network),))
            losses.append(loss_of("folding", trial, whole.run, self.form.run))
        if narrow and after is not None:
            losses.append(loss_of("precision", trial, self.form.run, after))
        return tuple(losses)


def _costs_notes(request: CompileRequest) -> list[str]:
    """Return a note if a choice by costs rests on others than times of the target."""
    steps = passes_for(request.backend, request.target, request.precision)
    note = load_profile(request.target).costs_note
    chooses = any(isinstance(step, LowerConvolution) for step in steps)
    return [note] if chooses and note is not None else []


def _advice(specs: Sequence[ProgramSpec]) -> list[str]:
    """Return a note if most of the network's cost is in the predictor after splitting."""
    if specs[0].name != "predict_filters" or len(specs) < 2:
        return []
    predictor, path = specs[0].macs, specs[1].macs
    if is_worth_splitting(predictor, path):
        return []
    return [
        f"the predictor costs {predictor / 1e6:.3g} MMAC and the path {path / 1e6:.3g}, since the "
        "weights depend on most of the network; --filters dynamic computes the common part once"
    ]
