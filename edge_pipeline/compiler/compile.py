"""From a checkpoint or a registered network to an artifact."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, cast

import torch
from pydantic import ValidationError
from torch import nn

from edge_pipeline.artifact.manifest import Manifest, ProgramSpec, Tile
from edge_pipeline.artifact.place import check_output
from edge_pipeline.artifact.provenance import Calibration, ModelCard, Source
from edge_pipeline.artifact.store import Artifact, write_artifact
from edge_pipeline.artifact.tensors import TensorSpec
from edge_pipeline.compiler.backends.base import Backend
from edge_pipeline.compiler.calibrate import bundled_captures, calibrated_filters
from edge_pipeline.compiler.entries import Entry, Form, Geometry, entries, export
from edge_pipeline.compiler.pipeline import passes_for, run_passes
from edge_pipeline.compiler.program import Pass, Result
from edge_pipeline.compiler.reference import macs_of, reference_of, synthetic_capture
from edge_pipeline.compiler.shapes import Letters, tensors_of
from edge_pipeline.errors import CheckpointError, InputError
from edge_pipeline.models.base import build_model, options_of
from edge_pipeline.models.checkpoint import load_checkpoint
from edge_pipeline.models.cost import cost_of_name
from edge_pipeline.record import COST_FILE, CostRecord
from edge_pipeline.registry import BACKENDS, MODELS

__all__ = ["CompileRequest", "compile_model"]

# Where sizes are free, the reference is small; it is not square, so that swapped axes show.
_FREE_SIZE = (64, 96)
_FIXED_SIZE = (256, 256)


@dataclass(frozen=True)
class CompileRequest:
    """What to compile, how, and where to.

    Attributes:
        source: a checkpoint's path, or a registered network's name for fresh weights.
        output: the artifact's folder.
        backend: as in the registry.
        options: of a registered network; a checkpoint has its own.
        filters: `dynamic`, `folded` or `split`.
        calibration: captures for `folded`; those that come with the project when empty.
        size: packed height and width. A backend with fixed sizes compiles for it (256 x 256 when
            left out); one with free sizes makes its reference input of it (64 x 96).
        seed: of fresh weights; 0 when left out.
        force: replace an artifact that stands at `output`.
    """

    source: str | Path
    output: Path
    backend: str
    options: Mapping[str, str | int | float | bool] = field(default_factory=dict)
    filters: Form = "dynamic"
    calibration: tuple[Path, ...] = ()
    size: tuple[int, int] | None = None
    seed: int | None = None
    force: bool = False


@dataclass(frozen=True)
class _Model:
    """A network with weights, and the manifest's words about it."""

    network: nn.Module
    source: Source
    card: ModelCard


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
        OutputError: the folder exists, or cannot be written.
        CompileError: the network cannot be compiled; the layer is named.
    """
    backend = cast(Backend, BACKENDS.load(request.backend))
    tools = _tools() | backend.require()
    check_output(request.output, force=request.force)  # known now, not after minutes of work
    on_step("building the network")
    model = _open(request)
    geometry = Geometry.of(model.network)
    height, width = request.size or (_FREE_SIZE if backend.FREE_SIZES else _FIXED_SIZE)
    geometry.check(height, width)
    folded, calibration = None, None
    if request.filters == "folded":
        on_step("predicting filters on the calibration captures")
        captures = list(request.calibration) or bundled_captures()
        folded, calibration = calibrated_filters(model.network, captures)
    elif request.calibration:
        raise InputError(f"--filters {request.filters} needs no calibration; leave it out")
    packed = torch.from_numpy(synthetic_capture(geometry.channels, height, width))
    files: dict[str, bytes | Path] = {}
    programs: list[ProgramSpec] = []
    for entry in entries(model.network, request.filters, packed, folded):
        spec = _program(entry, request.backend, backend, geometry, files, on_step)
        programs.append(spec)
    files[COST_FILE] = _cost(model.source, request.filters, tuple(packed.shape[1:]))
    on_step("writing the artifact")
    manifest = _manifest(request, model, geometry, tuple(programs), calibration, tools)
    return write_artifact(request.output, manifest, files, force=request.force)


def _program(
    entry: Entry,
    backend_name: str,
    backend: Backend,
    geometry: Geometry,
    files: dict[str, bytes | Path],
    on_step: Callable[[str], None],
) -> ProgramSpec:
    """Compile one program into `files`, and describe it."""
    on_step(f"{entry.name}: tracing")
    program = export(entry, geometry, free_sizes=backend.FREE_SIZES)

    def tell(step: Pass, _: Result) -> None:
        on_step(f"{entry.name}: {step.name}")

    program = run_passes(program, passes_for(backend_name), entry.example, on_result=tell)
    on_step(f"{entry.name}: writing for {backend_name}")
    emitted = backend.emit(program, entry.inputs, entry.outputs)
    file, reference = f"{entry.name}{backend.SUFFIX}", f"{entry.name}.reference.safetensors"
    files[file] = emitted.data
    files[reference] = reference_of(entry)
    letters = Letters.of(program)
    taken, given = tensors_of(program)
    macs = macs_of(entry)
    return ProgramSpec(
        name=entry.name,
        file=file,
        inputs=tuple(map(_tensor, entry.inputs, map(letters.shape, taken))),
        outputs=tuple(map(_tensor, entry.outputs, map(letters.shape, given))),
        macs=macs,
        flops=2 * macs,
        delegation=emitted.delegation,
        reference=reference,
    )


def _cost(source: Source, filters: Form, shape: tuple[int, ...]) -> bytes:
    """What the network costs at the reference input, for those who open the artifact without it."""
    cost = cost_of_name(source.model, source.options, shape)
    if filters == "folded":
        cost = CostRecord.build(
            cost.path_only(), model=cost.model, options=cost.options, input=cost.input
        )
    return cost.json_text().encode()


def _tensor(name: str, shape: tuple[int | str, ...]) -> TensorSpec:
    """The manifest's words for a tensor, by its name."""
    if name == "packed":
        meaning = "normalised packed Bayer capture: R, G on red rows, G on blue rows, B"
        return TensorSpec(name=name, shape=shape, range=(0.0, 1.0), meaning=meaning)
    if name == "rgb":
        meaning = "the picture, in the model card's output space"
        return TensorSpec(name=name, shape=shape, range=(0.0, 1.0), meaning=meaning)
    layer, _, kind = name.rpartition(".")
    layout = {5: "NOIHW", 2: "NO"}.get(len(shape), "NABCDEF"[: len(shape)])
    return TensorSpec(name=name, shape=shape, layout=layout, meaning=f"{kind} of {layer}")


def _open(request: CompileRequest) -> _Model:
    """The network that the request names."""
    source, path = str(request.source), Path(request.source)
    if source in MODELS:
        seed = request.seed or 0
        options = options_of(source, request.options)
        network = build_model(source, options, seed=seed)
        card = ModelCard(
            name=source,
            description=f"Untrained: fresh weights from seed {seed}. Its pictures mean nothing.",
            training_data=(),
            licence="none: nothing was learnt",
        )
        return _Model(network, Source(model=source, options=options, seed=seed), card)
    if path.suffix != ".safetensors" and not path.exists():
        raise InputError(
            f"{source!r} is neither a checkpoint (.safetensors) nor a registered network; "
            f"the networks are {', '.join(MODELS.names())}"
        )
    checkpoint = load_checkpoint(path)
    if request.options or request.seed is not None:
        what = "a seed" if request.seed is not None else f"the option {next(iter(request.options))}"
        raise InputError(f"{path} has its weights and options with it; leave out {what}")
    try:
        network = checkpoint.build()
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from error
    try:
        card = ModelCard.model_validate(checkpoint.card)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise CheckpointError(
            f"{path} has a wrong model card at {where}: {first['msg']}"
        ) from error
    described = Source(
        model=checkpoint.model, options=checkpoint.options, checkpoint_sha256=checkpoint.sha256
    )
    return _Model(network, described, card)


def _tools() -> dict[str, str]:
    """This program and the interpreter, with versions."""
    try:
        own = version("edge-pipeline")
    except PackageNotFoundError:
        own = "not installed"
    return {"edge-pipeline": own, "python": platform.python_version()}


def _manifest(
    request: CompileRequest,
    model: _Model,
    geometry: Geometry,
    programs: tuple[ProgramSpec, ...],
    calibration: Calibration | None,
    tools: dict[str, str],
) -> Manifest:
    tile: dict[str, Any] = {
        "stride": geometry.stride,
        "halo": geometry.halo,
        "scale": geometry.scale,
        "minimum": geometry.minimum,
    }
    return Manifest(
        source=model.source,
        backend=request.backend,
        filters=request.filters,
        programs=programs,
        tile=Tile.model_validate(tile),
        calibration=calibration,
        card=model.card,
        tools=dict(sorted(tools.items())),
        created=datetime.now(UTC),
    )
