"""From a checkpoint or a registered network to an artifact."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from edge_pipeline.artifact.manifest import Manifest, WeightsForm
from edge_pipeline.artifact.place import check_output
from edge_pipeline.artifact.provenance import Calibration, Loss
from edge_pipeline.artifact.schema import Precision
from edge_pipeline.artifact.store import Artifact, build_artifact
from edge_pipeline.compiler.backends.base import Backend, Order
from edge_pipeline.compiler.build import Built, Target, build
from edge_pipeline.compiler.precision.accuracy import Run, loss_of, trial_for
from edge_pipeline.compiler.precision.samples import listed_files, sample_inputs
from edge_pipeline.compiler.proof import board_notes, compiled_run, prove
from edge_pipeline.compiler.source.forms import Form, form_of
from edge_pipeline.compiler.source.geometry import Geometry
from edge_pipeline.compiler.source.hypernetwork import hypernetwork_file
from edge_pipeline.compiler.source.network import Network
from edge_pipeline.compiler.source.opening import open_source
from edge_pipeline.compiler.source.reference import synthetic_inputs
from edge_pipeline.device_profile import DEFAULT_DEVICE
from edge_pipeline.errors import InputError
from edge_pipeline.models.cost import cost_of_name
from edge_pipeline.raw.windows import WINDOW
from edge_pipeline.record import COST_FILE
from edge_pipeline.registry import BACKENDS, MODELS

__all__ = ["CompileRequest", "compile_model"]

_HYPERNETWORK = "hypernetwork.safetensors"


@dataclass(frozen=True)
class CompileRequest:
    """What to compile, how, and where to.

    Attributes:
        source: a checkpoint's path, or a registered network's name for fresh weights.
        output: the artifact's folder.
        backend: as in the registry.
        options: of a registered network; a checkpoint has its own.
        filters: `dynamic`, `folded` or `split`.
        phi: the rescaling factor to specialise for; wanted by networks that have one.
        precision: of weights and arithmetic.
        calibration: captures or pictures for folding and for int8, or folders of them; those that
            come with the project when empty.
        validation: likewise, on which the loss of folding and of precision is measured; those of
            `accuracy.trial_for` when empty.
        size: height and width of the first input. A backend with fixed sizes compiles for it (the
            network's own default when left out); one with free sizes makes its reference of it.
        seed: of fresh weights; 0 when left out.
        window: side of what the predictor of a split network sees at most, in pixels of the input.
        device: the profile in `devices/` by whose measured costs convolutions are lowered.
        allowed: operators that may stay outside the delegate, by name.
        tflite_runtime: for LiteRT, the interpreter of an environment with tflite-runtime 2.14 to
            check the file with; without one, the manifest says that it needs LiteRT.
        force: replace an artifact that stands at `output`.
    """

    source: str | Path
    output: Path
    backend: str
    options: Mapping[str, str | int | float | bool] = field(default_factory=dict)
    filters: WeightsForm = "dynamic"
    phi: float | None = None
    precision: Precision = "fp32"
    calibration: tuple[Path, ...] = ()
    validation: tuple[Path, ...] = ()
    size: tuple[int, int] | None = None
    seed: int | None = None
    window: int = WINDOW
    device: str = DEFAULT_DEVICE
    allowed: frozenset[str] = frozenset()
    tflite_runtime: Path | None = None
    force: bool = False


def compile_model(
    request: CompileRequest, *, on_step: Callable[[str], None] = lambda _: None
) -> Artifact:
    """Compile and write an artifact, whole or not at all.

    Args:
        request: see CompileRequest.
        on_step: told in a few words what is being done.

    Raises:
        InputError: an option, size, capture or checkpoint cannot be used.
        MissingExtraError: the backend's packages are not installed.
        OutputError: the folder exists, cannot be written, or lies inside an artifact or a source.
        CompileError: the network cannot be compiled, or what was written is not what eager gives.
    """
    backend = cast(Backend, BACKENDS.load(request.backend))
    _check_target(request, backend)
    tools = _tools() | backend.require()
    request = replace(
        request,
        calibration=listed_files(request.calibration),
        validation=listed_files(request.validation),
    )
    # Known now, not after minutes of work.
    check_output(request.output, force=request.force, sources=_sources(request))
    on_step("building the network")
    network = open_source(request.source, request.options, request.seed)
    free = backend.FREE_SIZES and network.geometry.free_sizes
    size = network.geometry.size(request.size, free=free)
    network = network.sized(synthetic_inputs(network.geometry, *size), free_sizes=free)
    on_step("tracing")
    form = form_of(network, request.filters, request.phi, request.calibration, request.window)
    samples, observed = _samples(request, network.geometry, size)
    order = Order("", (), (), request.precision, allowed=request.allowed)
    target = Target(request.backend, backend, request.device, order, on_step)
    built = [
        build(entry, target, [form.inputs_of(entry, one) for one in samples])
        for entry in form.entries
    ]
    work = _Work(request, network, size, form, tuple(built), observed, tools)
    on_step("checking what was written")
    return build_artifact(request.output, work.describe, work.files(), force=request.force)


@dataclass(frozen=True)
class _Work:
    """All that was decided and built, from which the artifact is described."""

    request: CompileRequest
    network: Network
    size: tuple[int, int]
    form: Form
    built: tuple[Built, ...]
    observed: Calibration | None
    tools: dict[str, str]

    def files(self) -> dict[str, bytes | Path]:
        """The artifact's files but the manifest."""
        files: dict[str, bytes | Path] = {COST_FILE: self._cost()}
        for one in self.built:
            files |= one.files
        hypernetwork = hypernetwork_file(self.network.module) if self.form.phi is not None else None
        return files if hypernetwork is None else files | {_HYPERNETWORK: hypernetwork}

    def describe(self, folder: Path) -> Manifest:
        """The manifest of what lies in `folder`, which is run first."""
        request, form = self.request, self.form
        backend = cast(Backend, BACKENDS.load(request.backend))
        checked, specs = backend.checked(), [one.spec for one in self.built]
        after: Run | None = None
        if checked != "not_run":
            space = self.network.card.output_space
            prove(folder, request.backend, specs, request.precision, space)
            ports = [port.name for port in self.network.geometry.inputs]
            after = compiled_run(folder, request.backend, specs, ports, form.window)
        notes = [note for one in self.built for note in one.notes]
        if request.backend == "litert":
            notes += board_notes(folder, specs, request.precision, request.tflite_runtime)
        return Manifest(
            source=self.network.source,
            backend=request.backend,
            precision=request.precision,
            filters=form.filters,
            phi=form.phi,
            checked=checked,
            programs=tuple(specs),
            tile=self.network.geometry.tile(),
            calibration=form.calibration,
            precision_calibration=self.observed,
            losses=self._losses(after),
            hypernetwork=_HYPERNETWORK if (folder / _HYPERNETWORK).exists() else None,
            card=self.network.card,
            tools=dict(sorted(self.tools.items())),
            notes=tuple(dict.fromkeys(notes)),
            created=datetime.now(UTC),
        )

    def _cost(self) -> bytes:
        """What the network costs at the reference input, for those who have it not."""
        source = self.network.source
        entry = self.form.entries[-1]
        shape = tuple(entry.example[0].shape[1:])
        cost = cost_of_name(source.model, source.options, shape, self.form.phi)
        if self.form.filters in ("folded", "specialised"):
            cost = cost.on_path()
        return cost.json_text().encode()

    def _losses(self, after: Run | None) -> tuple[Loss, ...]:
        """What folding cost, in eager, and what precision cost, in the runtime."""
        narrow = self.request.precision != "fp32" and after is not None
        if self.form.filters != "folded" and not narrow:
            return ()
        module: Any = self.network.module
        trial = trial_for(
            self.network.geometry, self.network.card, self.size, self.request.validation
        )
        losses = []
        if self.form.filters == "folded":

            def predicting(inputs: tuple[Tensor, ...]) -> NDArray[np.float32]:
                output: NDArray[np.float32] = module(*inputs).detach().numpy()
                return output

            losses.append(loss_of("folding", trial, predicting, self.form.run))
        if narrow and after is not None:
            losses.append(loss_of("precision", trial, self.form.run, after))
        return tuple(losses)


def _check_target(request: CompileRequest, backend: Backend) -> None:
    if request.tflite_runtime is not None and request.backend != "litert":
        raise InputError(
            f"tflite-runtime cannot read what {request.backend} writes; leave out --tflite-runtime"
        )
    if request.precision not in backend.PRECISIONS:
        raise InputError(
            f"{request.backend} cannot be written in {request.precision}; it takes "
            f"{', '.join(backend.PRECISIONS)}"
        )


def _sources(request: CompileRequest) -> tuple[Path, ...]:
    """The files and folders that the artifact is made from."""
    files = (*request.calibration, *request.validation)
    return files if str(request.source) in MODELS else (Path(request.source), *files)


def _samples(
    request: CompileRequest, geometry: Geometry, size: tuple[int, int]
) -> tuple[list[tuple[Tensor, ...]], Calibration | None]:
    """What int8 is calibrated on; nothing for the other precisions."""
    if request.precision == "int8":
        return sample_inputs(geometry, size, request.calibration)
    if request.calibration and request.filters != "folded":
        raise InputError(
            f"--filters {request.filters} in {request.precision} needs no calibration; leave it out"
        )
    return [], None


def _tools() -> dict[str, str]:
    """This program and the interpreter, with versions."""
    try:
        own = version("edge-pipeline")
    except PackageNotFoundError:
        own = "not installed"
    return {"edge-pipeline": own, "python": platform.python_version()}
