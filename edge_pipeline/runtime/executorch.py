"""ExecuTorch through its Python binding, with XNNPACK.

Facts about the binding (1.4.1) that shape this file, each held by a test or met by a crash:

- The module `portable_lib` imports the whole exporter for a warning class (4 s, and torch prints);
  `_portable_lib`, which it passes on, wants only that torch be imported before.
- It logs by writing to `sys.stderr`, and calls `std::terminate` when the text is not UTF-8, as is
  the identifier of a file that is not a program. So the identifier is looked at here first.
- There is one thread pool in the process. Delegates keep a pointer to it, so it may be reset only
  while no program is loaded.
- A method that outlives its program crashes; so does one whose buffer is gone. Programs are loaded
  from a path, and the method is let go first.
"""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType, TracebackType
from typing import TYPE_CHECKING, Any, Self
from weakref import WeakSet

import numpy as np
from numpy.typing import NDArray

from edge_pipeline.artifact.manifest import ProgramSpec
from edge_pipeline.artifact.tensors import TensorSpec
from edge_pipeline.errors import RuntimeFailure
from edge_pipeline.optional import require
from edge_pipeline.runtime.base import check_inputs, check_outputs

if TYPE_CHECKING:
    import torch

__all__ = ["ExecutorchSession", "open_session", "preload"]

_LOCK = threading.RLock()


class ExecutorchSession:
    """A program in ExecuTorch; made by `open_session`.

    Attributes:
        threads: the size of the process's thread pool while this is open.
    """

    def __init__(self, method: Any, program: Any, spec: ProgramSpec, threads: int) -> None:
        # In this order: when a session is dropped unclosed, attributes go as they came.
        self._method = method
        self._program = program
        self._spec = spec
        self._torch = sys.modules["torch"]
        self.threads = threads

    def run(self, inputs: Mapping[str, NDArray[np.float32]]) -> dict[str, NDArray[np.float32]]:
        """See `edge_pipeline.runtime.base.Session.run`."""
        values, sizes = check_inputs(self._spec, inputs)
        with _LOCK, _listening() as heard:
            if self._method is None:
                raise RuntimeFailure(f"the session of {self._spec.name} is closed; open another")
            # torch warns of arrays that it could not write to.
            tensors = [
                self._torch.from_numpy(np.require(value, requirements=("C", "W")))
                for value in values
            ]
            try:
                outputs: list[torch.Tensor] = self._method(tensors)
            except RuntimeError as error:
                raise RuntimeFailure(
                    f"ExecuTorch could not run {self._spec.name}: {_cause(error, heard)}"
                ) from error
        # The binding clones outputs, and here they lie in memory as their shape says.
        return check_outputs(self._spec, [t.contiguous().numpy() for t in outputs], sizes)

    def close(self) -> None:
        """Let the program and its memory go."""
        with _LOCK:
            self._method = None
            self._program = None
            _OPEN.discard(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


_OPEN: WeakSet[ExecutorchSession] = WeakSet()


def open_session(path: Path, spec: ProgramSpec, threads: int) -> ExecutorchSession:
    """Load a `.pte` file.

    Args:
        path: the file.
        spec: what the manifest says of it.
        threads: the size of the thread pool, which all open ExecuTorch sessions share.

    Raises:
        MissingExtraError: torch or executorch is not installed.
        RuntimeFailure: the file cannot be loaded, its tensors are not the manifest's, or another
            session is open with another number of threads.
    """
    _check_identifier(path)
    with _LOCK, _listening() as heard:
        binding = preload()
        _pin_threads(binding, threads)
        try:
            program = binding._load_program(
                str(path), program_verification=binding.Verification.InternalConsistency
            )
            method = program.load_method(_method_name(program, spec, path))
        except RuntimeError as error:
            raise RuntimeFailure(
                f"ExecuTorch could not load {path}: {_cause(error, heard)}"
            ) from error
        session = ExecutorchSession(method, program, spec, threads)
        _check_tensors(method.method_meta(), spec, path)
        _OPEN.add(session)
    return session


def preload() -> ModuleType:
    """Import what the runtime needs, and give the binding back; a program then loads alone.

    Raises:
        MissingExtraError: torch or executorch is not installed.
    """
    require("torch", "executorch", "running ExecuTorch artifacts")
    return require(
        "executorch.extension.pybindings._portable_lib",
        "executorch",
        "running ExecuTorch artifacts",
    )


def _check_identifier(path: Path) -> None:
    try:
        with path.open("rb") as handle:
            head = handle.read(8)
    except OSError as error:
        raise RuntimeFailure(f"ExecuTorch could not load {path}: {error.strerror}") from error
    if head[4:6] != b"ET":
        raise RuntimeFailure(f"{path} is not an ExecuTorch program")


def _pin_threads(binding: Any, threads: int) -> None:
    others = {session.threads for session in _OPEN} - {threads}
    if others:
        raise RuntimeFailure(
            f"ExecuTorch has one thread pool, which an open session uses with {others.pop()} "
            f"threads; close that one before opening one with {threads}"
        )
    if binding._threadpool_get_thread_count() != threads:
        binding._unsafe_reset_threadpool(threads)
    pinned = binding._threadpool_get_thread_count()
    if pinned != threads:
        raise RuntimeFailure(f"ExecuTorch runs {pinned} threads although {threads} were asked for")


def _method_name(program: Any, spec: ProgramSpec, path: Path) -> str:
    names = [program.get_method_name(index) for index in range(program.num_methods())]
    for name in (spec.name, "forward"):
        if name in names:
            return name
    raise RuntimeFailure(f"{path} has the methods {', '.join(names)}, none of them {spec.name}")


def _check_tensors(meta: Any, spec: ProgramSpec, path: Path) -> None:
    """Inputs and outputs go by position, so at least their sizes must be the manifest's."""
    inputs = [meta.input_tensor_meta(index).sizes() for index in range(meta.num_inputs())]
    outputs = [meta.output_tensor_meta(index).sizes() for index in range(meta.num_outputs())]
    free: dict[str, int] = {}
    if not (_fit(spec.inputs, inputs, free) and _fit(spec.outputs, outputs, free)):
        raise RuntimeFailure(
            f"{path} takes {inputs} and gives {outputs}, which is not what the manifest lists"
        )


def _fit(
    tensors: tuple[TensorSpec, ...], shapes: list[tuple[int, ...]], free: dict[str, int]
) -> bool:
    return len(tensors) == len(shapes) and all(
        tensor.fits(tuple(shape), free) for tensor, shape in zip(tensors, shapes, strict=True)
    )


def _cause(error: RuntimeError, heard: list[str]) -> str:
    """The last thing that ExecuTorch logged says more than its error, which is a number."""
    said = "".join(heard).strip().splitlines()
    return said[-1] if said else str(error)


class _Listener:
    """Keeps what one thread writes; what others write goes where it would have gone."""

    def __init__(self, beyond: Any) -> None:
        self.heard: list[str] = []
        self._beyond = beyond
        self._thread = threading.get_ident()

    def write(self, text: str) -> int:
        if threading.get_ident() != self._thread:
            return int(self._beyond.write(text))
        self.heard.append(text)
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._beyond, name)


@contextlib.contextmanager
def _listening() -> Iterator[list[str]]:
    """Take what this thread writes to `sys.stderr`; callers hold `_LOCK`."""
    listener = _Listener(sys.stderr)
    with contextlib.redirect_stderr(listener):
        yield listener.heard
