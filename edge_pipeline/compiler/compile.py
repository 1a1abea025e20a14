"""From a checkpoint or a registered network to an artifact."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from torch import Tensor, nn

from edge_pipeline.artifact.manifest import WeightsForm
from edge_pipeline.artifact.place import check_output
from edge_pipeline.artifact.schema import Precision
from edge_pipeline.artifact.store import Artifact, drafted_artifact
from edge_pipeline.compiler.backends.base import Backend, open_backend
from edge_pipeline.compiler.build import Target, build
from edge_pipeline.compiler.preparing import open_network, prepared, with_listed_files
from edge_pipeline.compiler.refolding import check_constants, check_request
from edge_pipeline.compiler.request import CompileRequest
from edge_pipeline.compiler.source.description import Description
from edge_pipeline.compiler.source.foreign import foreign_network
from edge_pipeline.compiler.source.naming import is_factory
from edge_pipeline.compiler.source.network import SourceNetwork
from edge_pipeline.compiler.work import Work
from edge_pipeline.device_profile import DEFAULT_DEVICE
from edge_pipeline.errors import InputError
from edge_pipeline.registry import MODELS

__all__ = ["CompileRequest", "compile_model", "compile_module", "compile_network"]


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
    request = with_listed_files(request)
    # Known now, not after minutes of work.
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
    device: str = DEFAULT_DEVICE,
    force: bool = False,
) -> Artifact:
    """Compile any module that `torch.export` can trace; `edge_pipeline.compile` is this function.

    Args:
        module: with its weights; it is put into eval mode.
        example_inputs: tensors in the order of `forward`, or by the names of its parameters, of
            float32, int64, int32 or bool. The program is compiled for their shapes.
        output: the artifact's folder.
        backend: as in the registry: `onnx`, `executorch`, `litert`, `coreml`, ...
        filters: `dynamic` computes weights in the program; `split` makes a program that predicts
            them and one that takes them; `folded` has those of the example inputs as constants;
            `refolded` is `folded` with the program that predicts them, so that those of each input
            can take the constants' place in memory before the runtime loads the program.
        precision: of weights and arithmetic.
        fixed: values for parameters of `forward` that the program shall not have, such as a
            number that sets the cost.
        respecialisable: whether the artifact carries the weights at other values of the number
            that is fixed, for `respecialise`.
        allowed: operators that may stay outside the delegate, by name.
        description: the network's purpose, tensors and tile geometry; what is left out is
            inferred, and what is stated is checked, by running the network.
        free_sizes: leave height and width open; ONNX Runtime can.
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
        respecialisable=respecialisable,
        allowed=frozenset(allowed),
        device=device,
        force=force,
        description=description,
        free_sizes=free_sizes,
    )
    found = _backend_of(request)
    check_output(request.output, force=force)
    network = foreign_network(module, example_inputs, fixed=fixed)
    return compile_network(network, request, found)


def _backend_of(request: CompileRequest) -> Backend:
    backend = open_backend(request.backend, request.precision, request.device)
    if request.tflite_runtime is not None and request.backend != "litert":
        raise InputError(
            f"tflite-runtime cannot read what {request.backend} writes; leave out --tflite-runtime"
        )
    if request.respecialisable and request.precision == "int8":
        raise InputError(
            "--respecialisable does not go with int8, whose scales belong to the weights of one "
            "value; leave out one of them"
        )
    if request.free_sizes and not backend.FREE_SIZES:
        raise InputError(f"{request.backend} is compiled for fixed sizes; leave out --free-sizes")
    check_request(request)
    return backend


def compile_network(
    network: SourceNetwork,
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
    ready = prepared(network, request, backend, on_step=on_step)
    target = Target(request.backend, backend, request.device, on_step)
    built = [build(entry, target, ready.options_of(entry)) for entry in ready.form.entries]
    check_constants(request, built)
    work = Work(request, ready.network, ready.form, tuple(built), ready.observed, tools)
    on_step("checking what was written")
    with drafted_artifact(request.output, force=request.force) as draft:
        draft.add(work.files())
        proof = work.prove(draft.folder)
        return draft.seal(work.manifest(proof))


def _sources(request: CompileRequest) -> tuple[Path, ...]:
    """The files and folders that the artifact is made from."""
    files = (*request.calibration, *request.validation)
    if request.weights is not None:
        files = (request.weights, *files)
    named = str(request.source) in MODELS or is_factory(str(request.source))
    return files if named else (Path(request.source), *files)


def _tools() -> dict[str, str]:
    """This program and the interpreter, with versions."""
    try:
        own = version("edge-pipeline")
    except PackageNotFoundError:
        own = "not installed"
    return {"edge-pipeline": own, "python": platform.python_version()}
