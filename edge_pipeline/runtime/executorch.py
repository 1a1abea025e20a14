"""ExecuTorch through its Python binding, with XNNPACK.

Properties of the binding (1.4.1) that determine this module, each shown by a test or a crash:

- The module `portable_lib` imports the whole exporter for a warning class (4 s, and torch prints
  text); `_portable_lib`, from which it takes the binding, requires only that torch is imported.
- It logs by writing to `sys.stderr`, and calls `std::terminate` if the text is not UTF-8. It logs
  the identifier of a file that is not a program, so this module checks the identifier first.
- There is one thread pool per process. Delegates keep a pointer to it, so it may be reset only
  while no program is loaded.
- A method crashes if its program or its buffer was released. So programs are loaded as a module,
  which owns the program, its external weights and its methods. If a program is loaded from memory,
  the session owns the buffers, and releases the module first.
- A module loads a method at its first run, and there is no function that only loads it. A run
  without inputs loads the method, and then fails at the first input, which has not been set.
"""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import WeakSet

import numpy as np
from numpy.typing import NDArray

from edge_pipeline.artifact.manifest import ProgramSpec
from edge_pipeline.artifact.tensors import TensorSpec
from edge_pipeline.closing import Closing
from edge_pipeline.errors import RuntimeFailure
from edge_pipeline.optional import require
from edge_pipeline.runtime.base import check_inputs, check_outputs

if TYPE_CHECKING:
    import torch

__all__ = ["LOADS_FROM_MEMORY", "PACKAGE", "ExecutorchSession", "open_session", "preload"]

PACKAGE = "executorch"
LOADS_FROM_MEMORY = True
# Its binding accepts `enable_etdump`, but then finds "no etdump data".
NO_PROFILER = "ExecuTorch's Python package (1.4) is built without the event tracer of ETDump"

_LOCK = threading.RLock()
_WEIGHTS = ".ptd"
# ExecuTorch's number for float16 (`ScalarType::Half`).
_HALF = 5
_NO_INPUT = "has not been set."


class _Buffers(NamedTuple):
    """Contents of a program file and of its external weights file, which may be None."""

    program: bytes
    weights: bytes | None


class ExecutorchSession(Closing):
    """A program loaded in ExecuTorch; created by `open_session`.

    Attributes:
        threads: Size of the process's thread pool while this session is open.
    """

    def __init__(
        self, module: Any, method: str, spec: ProgramSpec, threads: int, buffers: _Buffers | None
    ) -> None:
        self._module = module
        self._buffers = buffers
        self._method = method
        self._spec = spec
        self._torch = sys.modules["torch"]
        meta = module.method_meta(method)
        self._halves = [meta.input_tensor_meta(i).dtype() == _HALF for i in range(len(spec.inputs))]
        self.threads = threads

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Run the program; see `edge_pipeline.runtime.base.Session.run`."""
        values, sizes = check_inputs(self._spec, inputs)
        with _LOCK, _listening() as heard:
            if self._module is None:
                raise RuntimeFailure(f"the session of {self._spec.name} is closed; open a new one")
            # torch warns about read-only arrays.
            tensors = [
                self._torch.from_numpy(np.require(value, requirements=("C", "W")))
                for value in values
            ]
            # A half-precision program has half-precision tensors; those of a session are float32.
            given = [t.half() if half else t for t, half in zip(tensors, self._halves, strict=True)]
            try:
                outputs: list[torch.Tensor] = self._module.run_method(self._method, given)
            except RuntimeError as error:
                raise RuntimeFailure(
                    f"ExecuTorch could not run {self._spec.name}: {_cause(error, heard)}"
                ) from error
        # The binding copies the outputs; here they are made contiguous in the order of their axes.
        widened = (t.float() if t.dtype == self._torch.float16 else t for t in outputs)
        return check_outputs(self._spec, [t.contiguous().numpy() for t in widened], sizes)

    def close(self) -> None:
        """Release the program and its memory."""
        with _LOCK:
            self._module = None
            self._buffers = None
            _OPEN.discard(self)


_OPEN: WeakSet[ExecutorchSession] = WeakSet()


def open_session(
    path: Path, spec: ProgramSpec, threads: int, replaced: Mapping[str, bytes] | None = None
) -> ExecutorchSession:
    """Load a `.pte` file, and the `.ptd` file of its external weights if it has one.

    Args:
        path: Path of the `.pte` file.
        spec: Description of the program in the manifest.
        threads: Size of the thread pool, which all open ExecuTorch sessions share.
        replaced: Contents to use instead of the program's files, by name in the artifact.

    Raises:
        MissingExtraError: If torch or executorch is not installed.
        RuntimeFailure: If the file cannot be loaded, if its tensors differ from those in the
            manifest, or if a session with another number of threads is open.
    """
    _check_identifier(path)
    weights = _weights_of(path, spec)
    buffers = _in_memory(path, weights, spec, replaced) if replaced else None
    with _LOCK, _listening() as heard:
        binding = preload()
        _pin_threads(binding, threads)
        thorough = binding.Verification.InternalConsistency
        try:
            if buffers is None:
                module = binding._load_for_executorch(
                    str(path), weights and str(weights), program_verification=thorough
                )
            else:
                module = binding._load_for_executorch_from_buffer(
                    *buffers, program_verification=thorough
                )
            method = _method_name(module.method_names(), spec, path)
            _check_tensors(module.method_meta(method), spec, path)
            _load(module, method, heard)
        except RuntimeError as error:
            raise RuntimeFailure(
                f"ExecuTorch could not load {path}: {_cause(error, heard)}"
            ) from error
        session = ExecutorchSession(module, method, spec, threads, buffers)
        _OPEN.add(session)
    return session


def _in_memory(
    path: Path, weights: Path | None, spec: ProgramSpec, replaced: Mapping[str, bytes]
) -> _Buffers:
    """Return the contents of the program's files, replaced or read from disk."""

    def content(name: str, file: Path) -> bytes:
        return replaced[name] if name in replaced else file.read_bytes()

    program = content(spec.file, path)
    if weights is None:
        return _Buffers(program, None)
    (name,) = (name for name in spec.extra if name.endswith(_WEIGHTS))
    return _Buffers(program, content(name, weights))


def _weights_of(path: Path, spec: ProgramSpec) -> Path | None:
    """Return the path of the program's external weights, or None if the manifest lists none."""
    for name in spec.extra:
        if name.endswith(_WEIGHTS):
            weights = path.with_name(Path(name).name)
            if not weights.is_file():
                raise RuntimeFailure(
                    f"{path} requires its weights file {weights.name} in the same folder"
                )
            return weights
    return None


def _load(module: Any, method: str, heard: list[str]) -> None:
    """Load a method, which ExecuTorch would otherwise load at its first run."""
    try:
        module.run_method(method, [])
    except RuntimeError:
        if not "".join(heard).rstrip().endswith(_NO_INPUT):
            raise


def preload() -> ModuleType:
    """Import torch and return ExecuTorch's binding, so that loading a program imports nothing.

    Raises:
        MissingExtraError: If torch or executorch is not installed.
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
            f"ExecuTorch has one thread pool, and an open session uses it with {others.pop()} "
            f"threads; close that session before you open one with {threads} threads"
        )
    if binding._threadpool_get_thread_count() != threads:
        binding._unsafe_reset_threadpool(threads)
    pinned = binding._threadpool_get_thread_count()
    if pinned != threads:
        raise RuntimeFailure(f"ExecuTorch runs {pinned} threads; expected {threads}")


def _method_name(names: list[str], spec: ProgramSpec, path: Path) -> str:
    for name in (spec.name, "forward"):
        if name in names:
            return name
    raise RuntimeFailure(f"{path} has the methods {', '.join(names)}; expected {spec.name}")


def _check_tensors(meta: Any, spec: ProgramSpec, path: Path) -> None:
    """Check that the sizes of inputs and outputs, which have no names, match the manifest."""
    inputs = [meta.input_tensor_meta(index).sizes() for index in range(meta.num_inputs())]
    outputs = [meta.output_tensor_meta(index).sizes() for index in range(meta.num_outputs())]
    free: dict[str, int] = {}
    if not (_fit(spec.inputs, inputs, free) and _fit(spec.outputs, outputs, free)):
        raise RuntimeFailure(
            f"{path} has the input sizes {inputs} and the output sizes {outputs}, which do not "
            "match the manifest"
        )


def _fit(
    tensors: tuple[TensorSpec, ...], shapes: list[tuple[int, ...]], free: dict[str, int]
) -> bool:
    return len(tensors) == len(shapes) and all(
        tensor.fits(tuple(shape), free) for tensor, shape in zip(tensors, shapes, strict=True)
    )


def _cause(error: RuntimeError, heard: list[str]) -> str:
    """Return ExecuTorch's last log line, or its error, which contains only a number."""
    said = "".join(heard).strip().splitlines()
    return said[-1] if said else str(error)


class _Listener:
    """A text stream that keeps the output of one thread and forwards that of other threads."""

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
    """Collect the output of this thread to `sys.stderr`; the caller must hold `_LOCK`."""
    listener = _Listener(sys.stderr)
    with contextlib.redirect_stderr(listener):
        yield listener.heard
