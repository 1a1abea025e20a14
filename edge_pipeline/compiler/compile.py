"""Compile a checkpoint, a registered network or any module to an artifact."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from torch import Tensor, nn

from edge_pipeline.artifact.draft import drafted_artifact
from edge_pipeline.artifact.manifest import WeightsForm
from edge_pipeline.artifact.place import check_output
from edge_pipeline.artifact.schema import Precision
from edge_pipeline.artifact.store import Artifact
from edge_pipeline.compiler.backends.base import Backend, open_backend
from edge_pipeline.compiler.build import Built, Target, build
from edge_pipeline.compiler.contents import ArtifactContents, BuiltStage
from edge_pipeline.compiler.every import Template, build_every
from edge_pipeline.compiler.mixed import mixtures
from edge_pipeline.compiler.preparing import (
    Prepared,
    open_network,
    prepared,
    with_listed_files,
)
from edge_pipeline.compiler.refolding import check_constants, check_request
from edge_pipeline.compiler.request import CompileRequest
from edge_pipeline.compiler.several import build_several, check_several, several_prepared
from edge_pipeline.compiler.source.description import Description
from edge_pipeline.compiler.source.entries import Entry
from edge_pipeline.compiler.source.foreign import foreign_network
from edge_pipeline.compiler.source.naming import is_factory
from edge_pipeline.compiler.source.network import SourceNetwork
from edge_pipeline.compiler.source.tabulate import NotEveryValue
from edge_pipeline.device_profile import DEFAULT_TARGET
from edge_pipeline.errors import (
    AccuracyError,
    CompileError,
    InputError,
    TooManyInFloatError,
    first_line,
)
from edge_pipeline.registry import MODELS

__all__ = ["CompileRequest", "compile_model", "compile_module", "compile_network"]

Rebuild = Callable[[Prepared], list[Built]]


def compile_model(
    request: CompileRequest, *, on_step: Callable[[str], None] = lambda _: None
) -> Artifact:
    """Compile a network and write the artifact; on failure, nothing is written.

    Args:
        request: Source, backend, options and output folder.
        on_step: Function that is called with a short description of each step.

    Raises:
        InputError: If an option, size, capture or checkpoint cannot be used.
        MissingExtraError: If the backend's packages are not installed.
        OutputError: If the folder exists, cannot be written, or lies inside an artifact or a
            source.
        CompileError: If the network cannot be compiled, or a program's outputs differ from eager's.
    """
    backend = _backend_of(request)
    request = with_listed_files(request)
    # Checked first, not after minutes of work.
    check_output(request.output, force=request.force, sources=_sources(request))
    on_step("building the network")
    network = open_network(request)
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
    respecialisable: bool = False,
    allowed: Iterable[str] = (),
    description: Description | None = None,
    free_sizes: bool = False,
    target: str = DEFAULT_TARGET,
    force: bool = False,
) -> Artifact:
    """Compile any module that `torch.export` can trace; `edge_pipeline.compile` is this function.

    Args:
        module: Module with its weights; it is put into eval mode.
        example_inputs: Tensors in the order of `forward`, or by the names of its parameters, of
            type float32, int64, int32, uint8, int8 or bool. The program is compiled for their
            shapes.
        output: Folder of the artifact.
        backend: Name of the backend in the registry: `onnx`, `executorch`, `litert`, `coreml`, ...
        filters: `dynamic` computes weights in the program. `split` builds one program that predicts
            weights and one that takes them as inputs. `folded` stores the weights for the example
            inputs as constants. `refolded` is `folded` plus the program that predicts weights, so
            that the constants can be replaced in memory before the runtime loads the program.
        precision: Precision of weights and arithmetic.
        fixed: Values of parameters of `forward` that become constants, such as a number that sets
            the cost of the network.
        respecialisable: Whether the artifact contains the weights for other values of the fixed
            number, for `respecialise`: in ONNX all values of the trained range, if one program can
            serve them, otherwise those with equal map sizes.
        allowed: Names of operators that may stay outside the delegate.
        description: The network's purpose, tensors and tile geometry. Running the network checks
            the given fields and infers the others.
        free_sizes: Whether height and width stay free; only ONNX Runtime supports this.
        target: Name of the profile in `devices/` whose measured costs the compiler uses.
        force: Whether to replace an artifact at `output`.

    Raises:
        InputError: If an input or an option cannot be used.
        MissingExtraError: If the backend's packages are not installed.
        OutputError: If the folder exists, cannot be written, or lies inside an artifact.
        CompileError: If the network cannot be compiled, or a program's outputs differ from eager's.
    """
    request = CompileRequest(
        source=type(module).__name__,
        output=Path(output),
        backend=backend,
        filters=filters,
        precision=precision,
        respecialisable=respecialisable,
        allowed=frozenset(allowed),
        target=target,
        force=force,
        description=description,
        free_sizes=free_sizes,
    )
    found = _backend_of(request)
    check_output(request.output, force=force)
    network = foreign_network(module, example_inputs, fixed=fixed)
    return compile_network(network, request, found)


def _backend_of(request: CompileRequest) -> Backend:
    backend = open_backend(request.backend, request.precision, request.target)
    if request.tflite_runtime is not None and request.backend != "litert":
        raise InputError(
            f"tflite-runtime cannot read {request.backend} programs; leave out --tflite-runtime"
        )
    if request.respecialisable and request.precision == "int8":
        raise InputError(
            "--respecialisable cannot be combined with int8, whose scales belong to the weights of "
            "one value; leave out one of them"
        )
    if request.streamed and request.precision == "int8":
        raise InputError("--streamed cannot be combined with int8; leave out one of them")
    if request.free_sizes and not backend.FREE_SIZES:
        raise InputError(f"{request.backend} is compiled for fixed sizes; leave out --free-sizes")
    check_request(request)
    check_several(request, backend)
    return backend


def compile_network(
    network: SourceNetwork,
    request: CompileRequest,
    backend: Backend,
    *,
    on_step: Callable[[str], None] = lambda _: None,
) -> Artifact:
    """Compile an opened network and write the artifact, as `compile_model` does.

    Args:
        network: Network with example inputs, or with a geometry that determines them.
        request: Request to compile; its source is ignored.
        backend: Module of the request's backend.
        on_step: Function that is called with a short description of each step.

    Raises:
        The errors of `compile_model`.
    """
    tools = _tools() | backend.require()
    target = Target(request.backend, backend, request.target, on_step)
    ready, built, rebuild = _built(network, request, target)
    try:
        return _written(ready, built, request, target, tools)
    except AccuracyError as refused:
        return _with_float_layers(refused, ready, rebuild, request, target, tools)


def _with_float_layers(
    refused: AccuracyError,
    ready: Prepared,
    rebuild: Rebuild,
    request: CompileRequest,
    target: Target,
    tools: dict[str, str],
) -> Artifact:
    """Build int8 programs again, with the layers in float32 whose error in int8 is largest.

    Raises:
        AccuracyError: `refused`, if the programs differ from eager again, are not in int8, or too
            many layers would have to stay in float32.
    """
    for again in mixtures(ready):
        try:
            return _written(again, rebuild(again), request, target, tools)
        except AccuracyError:
            continue
        except TooManyInFloatError as error:
            raise AccuracyError(f"{refused}; {first_line(error)}") from error
    raise refused


def _written(
    ready: Prepared,
    built: Sequence[Built],
    request: CompileRequest,
    target: Target,
    tools: dict[str, str],
) -> Artifact:
    """Write the artifact of built programs, after checking them."""
    check_constants(request, built)
    stored = {name: built[0].files[name] for name in built[0].spec.extra}

    def built_part(entry: Entry) -> Built:
        return build(entry, target, replace(ready.options_of(entry), stored=stored))

    stages = [BuiltStage.of(one, built_part) for one in ready.form.stages]
    contents = ArtifactContents(
        request, ready.network, ready.form, tuple(built), tuple(stages), ready.observed, tools
    )
    target.on_step("checking the programs")
    with drafted_artifact(request.output, force=request.force) as draft:
        draft.add(contents.files())
        proof = contents.prove(draft.folder)
        return draft.seal(contents.manifest(proof))


def _built(
    network: SourceNetwork, request: CompileRequest, target: Target
) -> tuple[Prepared, list[Built], Rebuild]:
    """Prepare and build the programs of the request's deployment form.

    The function that builds them again, with other options, is returned, too.
    """

    def each(ready: Prepared) -> list[Built]:
        return [build(entry, target, ready.options_of(entry)) for entry in ready.form.entries]

    if request.several:
        ready, forms = several_prepared(network, request, target)

        def all_of_them(ready: Prepared) -> list[Built]:
            return build_several(forms, ready, request, target)

        return ready, all_of_them(ready), all_of_them
    try:
        ready = prepared(network, request, target.backend, on_step=target.on_step)
        form = ready.form
        if form.anchor is not None and form.curve is not None:
            (entry,), (value, first) = form.entries, form.anchor
            template = Template(first, value, form.curve, ready.network)
            return ready, [build_every(entry, template, target, ready.options_of(entry))], each
    except (NotEveryValue, CompileError) as reason:
        if not request.respecialisable:
            raise
        ready = prepared(network, request, target.backend, every=False, on_step=target.on_step)
        note = f"respecialise changes the value in a narrow range only: {first_line(reason)}"
        ready = replace(ready, form=replace(ready.form, notes=(*ready.form.notes, note)))
    return ready, each(ready), each


def _sources(request: CompileRequest) -> tuple[Path, ...]:
    """Return the files and folders that the artifact is made from."""
    files = (*request.calibration, *request.validation)
    if request.weights is not None:
        files = (request.weights, *files)
    named = str(request.source) in MODELS or is_factory(str(request.source))
    return files if named else (Path(request.source), *files)


def _tools() -> dict[str, str]:
    """Return the versions of this package and of Python."""
    try:
        own = version("edge-pipeline")
    except PackageNotFoundError:
        own = "not installed"
    return {"edge-pipeline": own, "python": platform.python_version()}
