"""Interface of the runtimes, and the function that opens a program of an artifact in one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Protocol, Self, cast

import numpy as np
from numpy.typing import NDArray

from edge_pipeline.artifact.exchanging import exchanged_files
from edge_pipeline.artifact.manifest import ProgramSpec
from edge_pipeline.artifact.store import Artifact
from edge_pipeline.errors import InputError, RuntimeFailure
from edge_pipeline.registry import RUNTIMES

__all__ = [
    "EAGER",
    "ProfiledOperator",
    "Runtime",
    "Session",
    "check_inputs",
    "check_outputs",
    "check_threads",
    "loads_from_memory",
    "open_session",
    "profile_program",
    "runtime_named",
]

EAGER = "eager"

# ONNX Runtime starts as many threads as requested; with a hundred thousand it never returns.
_MOST_THREADS = 512


class Session(Protocol):
    """A loaded program, closed by `close` or at the end of its `with` block; prints nothing."""

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Run the program on inputs by name, and return its outputs by name as new arrays.

        Raises:
            InputError: If a name, type or shape does not match the program's inputs.
            RuntimeFailure: If the runtime fails.
        """
        ...

    def close(self) -> None:
        """Release the program and its memory; may be called more than once."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


class ProfiledOperator(NamedTuple):
    """An operator of a compiled program: its name, its type, and its time in all runs together."""

    name: str
    kind: str
    elapsed_ns: int


class Runtime(Protocol):
    """Interface of a runtime: a module of this folder that `registry.RUNTIMES` lists.

    A module may also have a function `profile`; see `profile_program`.

    Attributes:
        PACKAGE: Name of the package that contains the runtime.
        LOADS_FROM_MEMORY: Whether `open_session` accepts contents in place of a program's files.
    """

    PACKAGE: str
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
            path: File of the program, or its folder if the format consists of several files.
            spec: Description of the program in the manifest.
            threads: Number of threads that compute one operator.
            replaced: Contents to use instead of files, by their names in the artifact; other files
                are read from disk. None if `LOADS_FROM_MEMORY` is false.

        Raises:
            MissingExtraError: If the runtime is not installed.
            RuntimeFailure: If the program cannot be loaded, or if its tensors differ from those in
                the manifest.
        """
        ...

    def preload(self) -> object:
        """Import the runtime, so that its import time does not count as loading a program.

        Raises:
            MissingExtraError: If the runtime is not installed.
        """
        ...


def runtime_named(name: str) -> Runtime:
    """Return the registered runtime called `name`.

    Raises:
        UnknownNameError: If there is none; the message lists the registered runtimes.
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
        artifact: A checked artifact.
        program: Name of the program: `forward`, `predict_filters` or `apply_filters`; `forward_1`,
            `forward_2`, ... if there is one for each of several values of a fixed number.
        threads: Number of threads that compute, 1 to 512, including the caller's.
        runtime: Name of the runtime; by default the runtime of the artifact's backend. `eager` runs
            the original network in torch, from the graph in the artifact.
        constants: Weights by name, float32; all that the program lists as exchangeable. They
            replace the weights of its file in memory. The runtime packs them while it loads the
            program, so runs are as fast as with the weights of the file.

    Raises:
        InputError: If `threads` is outside 1 to 512, if the artifact has no graph for `eager`, or
            if `constants` do not match the program's exchangeable weights.
        ArtifactError: If the artifact has no such program, or if `constants` are given and a file
            was changed after the artifact was opened.
        UnknownNameError: If no runtime is registered for the artifact's backend.
        MissingExtraError: If the runtime is not installed.
        RuntimeFailure: If the runtime cannot load the program (from memory, if `constants` are
            given), or if no runtime on this machine runs it.
    """
    check_threads(threads)
    spec = artifact.program(program)
    file = spec.graph if runtime == EAGER else spec.file
    if file is None:
        raise InputError(
            f"{artifact.folder} does not contain a graph of {program} for eager; compile it again"
        )
    name = runtime or artifact.manifest.backend
    if runtime is None and artifact.manifest.checked == "not_run" and name not in RUNTIMES:
        raise RuntimeFailure(
            f"{artifact.folder} was compiled for {name}, which no runtime on this machine can run; "
            "run it on a device"
        )
    module = runtime_named(name)
    path = artifact.path(file)
    if constants is None:
        return module.open_session(path, spec, threads)
    if not loads_from_memory(name):
        raise RuntimeFailure(
            f"{name} loads programs from files only, so the weights of {path} cannot be replaced"
        )
    replaced = exchanged_files(artifact, spec, constants)
    return module.open_session(path, spec, threads, replaced)


def loads_from_memory(runtime: str) -> bool:
    """Return whether the runtime is registered and can load a program from memory."""
    return runtime in RUNTIMES and runtime_named(runtime).LOADS_FROM_MEMORY


def profile_program(
    artifact: Artifact,
    program: str,
    inputs: Mapping[str, NDArray[Any]],
    *,
    threads: int,
    runs: int,
) -> list[ProfiledOperator]:
    """Run a program with its runtime's profiler, and return the time of each operator.

    Args:
        artifact: A checked artifact.
        program: Name of the program.
        inputs: Inputs by name.
        threads: Number of threads that compute.
        runs: Number of runs that count; a few precede them.

    Raises:
        InputError: If the runtime cannot profile; the message has the reason.
        RuntimeFailure: If the runtime fails.
    """
    runtime = runtime_named(artifact.manifest.backend)
    profile = getattr(runtime, "profile", None)
    if profile is None:
        reason = getattr(runtime, "NO_PROFILER", f"{runtime.PACKAGE} has no profiler")
        raise InputError(reason)
    check_threads(threads)
    spec = artifact.program(program)
    found: list[ProfiledOperator] = profile(artifact.path(spec.file), spec, threads, inputs, runs)
    return found


def check_threads(threads: int) -> None:
    """Raise InputError unless the number of threads is from 1 to 512."""
    if not 1 <= threads <= _MOST_THREADS:
        raise InputError(f"threads must be from 1 to {_MOST_THREADS}, got {threads}")


def check_inputs(
    spec: ProgramSpec, inputs: Mapping[str, NDArray[Any]]
) -> tuple[list[NDArray[Any]], dict[str, int]]:
    """Return the inputs in the program's order, each contiguous, and the values of free sizes.

    Args:
        spec: The program.
        inputs: Arrays by tensor name.

    Raises:
        InputError: If a name, type or shape does not match the program's inputs.
    """
    names = [tensor.name for tensor in spec.inputs]
    if sorted(names) != sorted(inputs):
        raise InputError(
            f"{spec.name}: expected the inputs {', '.join(names)}, "
            f"got {', '.join(inputs) or 'none'}"
        )
    sizes: dict[str, int] = {}
    ordered = []
    for tensor in spec.inputs:
        value = inputs[tensor.name]
        if value.dtype != np.dtype(tensor.dtype):
            raise InputError(
                f"{spec.name}: expected {tensor.name} as {tensor.dtype}, got {value.dtype}"
            )
        if not tensor.fits(value.shape, sizes):
            raise InputError(
                f"{spec.name}: expected {tensor.name} as {tensor.shape_text()}, "
                f"got {'x'.join(map(str, value.shape))}"
            )
        ordered.append(np.asarray(value, order="C"))
    return ordered, sizes


def check_outputs(
    spec: ProgramSpec, values: list[NDArray[Any]], sizes: dict[str, int]
) -> dict[str, NDArray[Any]]:
    """Return the outputs by name, after checking them against the manifest.

    Args:
        spec: The program.
        values: Outputs of the program, in order.
        sizes: Values of the free sizes, as returned by `check_inputs`.

    Raises:
        RuntimeFailure: If the outputs differ from the manifest in number, type or shape.
    """
    if len(values) != len(spec.outputs):
        raise RuntimeFailure(
            f"{spec.name} returned {len(values)} outputs; the manifest lists {len(spec.outputs)}"
        )
    for tensor, value in zip(spec.outputs, values, strict=True):
        if not tensor.accepts(value, sizes):
            raise RuntimeFailure(
                f"{spec.name} returned {tensor.name} as {value.dtype} "
                f"{'x'.join(map(str, value.shape))}; the manifest lists {tensor.text()}"
            )
    return {tensor.name: value for tensor, value in zip(spec.outputs, values, strict=True)}
