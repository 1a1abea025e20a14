"""From a checkpoint or a registered network to an artifact."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import cast

from torch import Tensor, nn

from edge_pipeline.artifact.manifest import Manifest, ProgramSpec, WeightsForm
from edge_pipeline.artifact.place import check_output
from edge_pipeline.artifact.provenance import Calibration, Loss, ModelCard
from edge_pipeline.artifact.schema import Precision
from edge_pipeline.artifact.store import Artifact, build_artifact
from edge_pipeline.compiler.backends.base import Backend, Order
from edge_pipeline.compiler.build import Built, Target, build
from edge_pipeline.compiler.precision.accuracy import Run, loss_of, trial_for
from edge_pipeline.compiler.precision.samples import listed_files, sample_inputs
from edge_pipeline.compiler.proof import board_notes, compiled_run, prove
from edge_pipeline.compiler.source import entries
from edge_pipeline.compiler.source.foreign import foreign_network
from edge_pipeline.compiler.source.forms import Form, form_of
from edge_pipeline.compiler.source.geometry import Geometry
from edge_pipeline.compiler.source.hypernetwork import hypernetwork_file
from edge_pipeline.compiler.source.naming import is_factory
from edge_pipeline.compiler.source.network import Network
from edge_pipeline.compiler.source.opening import open_source
from edge_pipeline.compiler.source.reference import synthetic_inputs
from edge_pipeline.device_profile import DEFAULT_DEVICE
from edge_pipeline.errors import InputError
from edge_pipeline.models.cost import cost_of_name
from edge_pipeline.raw.windows import WINDOW
from edge_pipeline.record import COST_FILE
from edge_pipeline.registry import BACKENDS, MODELS

__all__ = ["CompileRequest", "compile_model", "compile_module", "compile_network"]

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
        inputs: shapes by name, of a network from a user's own code.
        weights: of such a network: safetensors, `.pt` or `.pth`.
        fixed: values by name, for parameters of `forward` of such a network.
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
    inputs: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    weights: Path | None = None
    fixed: Mapping[str, object] = field(default_factory=dict)


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
    backend = _backend_of(request)
    request = replace(
        request,
        calibration=listed_files(request.calibration),
        validation=listed_files(request.validation),
    )
    # Known now, not after minutes of work.
    check_output(request.output, force=request.force, sources=_sources(request))
    on_step("building the network")
    network = open_source(
        request.source,
        request.options,
        request.seed,
        inputs=request.inputs,
        weights=request.weights,
        fixed=request.fixed,
    )
    return compile_network(network, request, backend, on_step=on_step)


def compile_module(
    module: nn.Module,
    example_inputs: Mapping[str, Tensor] | Sequence[Tensor],
    output: Path | str,
    *,
    backend: str,
    filters: WeightsForm = "dynamic",
    precision: Precision = "fp32",
    fixed: Mapping[str, object] | None = None,
    allowed: Iterable[str] = (),
    card: ModelCard | None = None,
    device: str = DEFAULT_DEVICE,
    force: bool = False,
) -> Artifact:
    """Compile any module that `torch.export` can trace; `edge_pipeline.compile` is this function.

    Args:
        module: with its weights; it is put into eval mode.
        example_inputs: float32 tensors in the order of `forward`, or by the names of its
            parameters. The program is compiled for their shapes.
        output: the artifact's folder.
        backend: as in the registry: `onnx`, `executorch`, `litert`, `coreml`, ...
        filters: `dynamic` computes weights in the program; `split` makes a program that predicts
            them and one that takes them; `folded` has those of the example inputs as constants.
        precision: of weights and arithmetic.
        fixed: values for parameters of `forward` that the program shall not have, such as a
            number that sets the cost.
        allowed: operators that may stay outside the delegate, by name.
        card: the network's purpose, for the manifest.
        device: the profile in `devices/` whose measured costs count.
        force: replace an artifact at `output`.

    Raises:
        InputError: an input or an option cannot be used.
        MissingExtraError: the backend's packages are not installed.
        OutputError: the folder exists, cannot be written, or lies inside an artifact.
        CompileError: the network cannot be compiled, or the program disagrees with eager.
    """
    request = CompileRequest(
        source=type(module).__name__,
        output=Path(output),
        backend=backend,
        filters=filters,
        precision=precision,
        allowed=frozenset(allowed),
        device=device,
        force=force,
    )
    found = _backend_of(request)
    check_output(request.output, force=force)
    network = foreign_network(module, example_inputs, card=card, fixed=fixed)
    return compile_network(network, request, found)


def _backend_of(request: CompileRequest) -> Backend:
    backend = cast(Backend, BACKENDS.load(request.backend))
    _check_target(request, backend)
    return backend


def compile_network(
    network: Network,
    request: CompileRequest,
    backend: Backend,
    *,
    on_step: Callable[[str], None] = lambda _: None,
) -> Artifact:
    """Compile a network that is open, as `compile_model` does.

    Args:
        network: with an example of its inputs, or with a geometry from which one follows.
        request: its source is not looked at.
        backend: the request's.
        on_step: told in a few words which step runs.

    Raises:
        The errors of `compile_model`.
    """
    tools = _tools() | backend.require()
    free = backend.FREE_SIZES and network.geometry.free_sizes
    size = network.geometry.size(request.size, free=free)
    if not network.example:
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
        files: dict[str, bytes | Path] = {}
        if self.network.source.model in MODELS:
            files[COST_FILE] = self._cost()
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
        notes = [note for one in self.built for note in one.notes] + _advice(specs)
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
        trial = trial_for(
            self.network.geometry, self.network.card, self.size, self.request.validation
        )
        losses = []
        if self.form.filters == "folded":
            # Already traced for folding.
            whole = Form("dynamic", None, (entries.dynamic(self.network),))
            losses.append(loss_of("folding", trial, whole.run, self.form.run))
        if narrow and after is not None:
            losses.append(loss_of("precision", trial, self.form.run, after))
        return tuple(losses)


def _advice(specs: Sequence[ProgramSpec]) -> list[str]:
    """A note if splitting put most of the network into its predictor."""
    if len(specs) < 2:
        return []
    predictor, path = specs[0].macs, specs[1].macs
    if 2 * predictor < path:
        return []
    return [
        f"the predictor takes {predictor / 1e6:.3g} MMAC and the path {path / 1e6:.3g}, since the "
        "weights depend on most of the network; --filters dynamic computes both once"
    ]


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
    if request.weights is not None:
        files = (request.weights, *files)
    named = str(request.source) in MODELS or is_factory(str(request.source))
    return files if named else (Path(request.source), *files)


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
