"""Opening a program of an artifact in the runtime that its backend is for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self, cast

import numpy as np
from numpy.typing import NDArray

from edge_pipeline.artifact.exchanging import exchanged_files
from edge_pipeline.artifact.manifest import ProgramSpec
from edge_pipeline.artifact.store import Artifact
from edge_pipeline.errors import InputError, RuntimeFailure
from edge_pipeline.registry import RUNTIMES

__all__ = [
    "EAGER",
    "Runtime",
    "Session",
    "check_inputs",
    "check_outputs",
    "loads_from_memory",
    "open_session",
    "runtime_named",
]

EAGER = "eager"

# ONNX Runtime starts as many as it is told; with a hundred thousand it does not come back.
_MOST_THREADS = 512


class Session(Protocol):
    """A loaded program. It prints nothing, and is closed by `close` or by leaving its block."""

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Outputs by name for inputs by name; the arrays given back belong to the caller.

        Raises:
            InputError: a name, type or shape is not what the program takes.
            RuntimeFailure: the runtime failed.
        """
        ...

    def close(self) -> None:
        """Let the program and its memory go; closing twice is allowed."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


class Runtime(Protocol):
    """A module of this folder, listed in `registry.RUNTIMES`.

    Attributes:
        LOADS_FROM_MEMORY: whether `open_session` takes the content of a program's files.
    """

    LOADS_FROM_MEMORY: bool

    def open_session(
        self,
        path: Path,
        spec: ProgramSpec,
        threads: int,
        replaced: Mapping[str, bytes] | None = None,
        /,
    ) -> Session:
        """Load a program.

        Args:
            path: the program's file, or the folder that the format consists of.
            spec: its description in the manifest.
            threads: how many compute one operator.
            replaced: content that takes the place of files, by their names in the artifact; files
                that are not given are read. None if `LOADS_FROM_MEMORY` is false.

        Raises:
            MissingExtraError: the runtime is not installed.
            RuntimeFailure: the program cannot be loaded, or its tensors are not the manifest's.
        """
        ...

    def preload(self) -> object:
        """Import the runtime, so that its time is not counted as a program's.

        Raises:
            MissingExtraError: it is not installed.
        """
        ...


def runtime_named(name: str) -> Runtime:
    """The registered runtime of that name.

    Raises:
        UnknownNameError: there is none; those that there are are listed.
    """
    return cast(Runtime, RUNTIMES.load(name))


def open_session(
    artifact: Artifact,
    program: str,
    *,
    threads: int,
    runtime: str | None = None,
    constants: Mapping[str, NDArray[np.float32]] | None = None,
) -> Session:
    """Load a program of an artifact.

    Args:
        artifact: a checked artifact.
        program: `forward`, `predict_filters` or `apply_filters`.
        threads: how many threads compute, 1 to 512, the caller's among them.
        runtime: the one that the artifact's backend is for when left out; `eager` runs the network
            as it was before it was compiled, in torch, from the graph that the artifact carries.
        constants: weights by name, all that the program lists as exchangeable, float32. They take
            the place of those in its file, in memory: the runtime packs them as it loads the
            program, so runs are as fast as with the weights of the file.

    Raises:
        InputError: `threads` is outside 1 to 512, or the artifact has no such program, or no graph
            for `eager`; `constants` are given and do not fit the program's.
        ArtifactError: `constants` are given and a file was changed after the artifact was opened.
        UnknownNameError: no runtime is registered for the artifact's backend.
        MissingExtraError: the runtime is not installed.
        RuntimeFailure: the runtime cannot load the program, or not from memory if `constants` are
            given, or none on this machine is for it.
    """
    if not 1 <= threads <= _MOST_THREADS:
        raise InputError(f"threads is {threads}; give 1 to {_MOST_THREADS}")
    spec = artifact.program(program)
    file = spec.graph if runtime == EAGER else spec.file
    if file is None:
        raise InputError(
            f"{artifact.folder} carries no graph of {program} for eager; compile it again"
        )
    name = runtime or artifact.manifest.backend
    if runtime is None and artifact.manifest.checked == "not_run" and name not in RUNTIMES:
        raise RuntimeFailure(
            f"{artifact.folder} is written for {name}, which nothing on this machine can run; push "
            "it to a device"
        )
    module = runtime_named(name)
    path = artifact.path(file)
    if constants is None:
        return module.open_session(path, spec, threads)
    if not loads_from_memory(name):
        raise RuntimeFailure(f"{name} loads programs from files only, so {path} keeps its weights")
    replaced = exchanged_files(artifact, spec, constants)
    return module.open_session(path, spec, threads, replaced)


def loads_from_memory(runtime: str) -> bool:
    """Whether a runtime is registered that takes a program's files from memory."""
    return runtime in RUNTIMES and runtime_named(runtime).LOADS_FROM_MEMORY


def check_inputs(
    spec: ProgramSpec, inputs: Mapping[str, NDArray[Any]]
) -> tuple[list[NDArray[Any]], dict[str, int]]:
    """The inputs in the program's order, each contiguous, and what its free sizes stand for.

    Args:
        spec: the program.
        inputs: arrays by tensor name.

    Raises:
        InputError: a name, type or shape is not what the program takes.
    """
    names = [tensor.name for tensor in spec.inputs]
    if sorted(names) != sorted(inputs):
        raise InputError(f"{spec.name} takes {', '.join(names)}, not {', '.join(inputs) or 'none'}")
    sizes: dict[str, int] = {}
    ordered = []
    for tensor in spec.inputs:
        value = inputs[tensor.name]
        if value.dtype != np.dtype(tensor.dtype):
            raise InputError(
                f"{spec.name} takes {tensor.name} as {tensor.dtype}, not {value.dtype}"
            )
        if not tensor.fits(value.shape, sizes):
            raise InputError(
                f"{spec.name} takes {tensor.name} as {tensor.shape_text()}, "
                f"not {'x'.join(map(str, value.shape))}"
            )
        ordered.append(np.ascontiguousarray(value))
    return ordered, sizes


def check_outputs(
    spec: ProgramSpec, values: list[NDArray[Any]], sizes: dict[str, int]
) -> dict[str, NDArray[Any]]:
    """The outputs by name.

    Args:
        spec: the program.
        values: its outputs in order.
        sizes: what `check_inputs` found the free sizes to be.

    Raises:
        RuntimeFailure: the runtime gave back something else than the manifest says.
    """
    if len(values) != len(spec.outputs):
        raise RuntimeFailure(
            f"{spec.name} gave {len(values)} outputs, and the manifest lists {len(spec.outputs)}"
        )
    for tensor, value in zip(spec.outputs, values, strict=True):
        if not tensor.takes(value, sizes):
            raise RuntimeFailure(
                f"{spec.name} gave {tensor.name} as {value.dtype} "
                f"{'x'.join(map(str, value.shape))}, and the manifest says {tensor.text()}"
            )
    return {tensor.name: value for tensor, value in zip(spec.outputs, values, strict=True)}
