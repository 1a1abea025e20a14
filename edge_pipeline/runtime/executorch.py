"""ExecuTorch through its Python binding, with XNNPACK.

Facts about the binding (1.4.1) that shape this file, each held by a test or met by a crash:

- The module `portable_lib` imports the whole exporter for a warning class (4 s, and torch prints);
  `_portable_lib`, which it passes on, wants only that torch be imported before.
- It logs by writing to `sys.stderr`, and calls `std::terminate` when the text is not UTF-8, as is
  the identifier of a file that is not a program. So the identifier is looked at here first.
- There is one thread pool in the process. Delegates keep a pointer to it, so it may be reset only
  while no program is loaded.
- A method that outlives its program crashes; so does one whose buffer is gone. Programs are loaded
  as a module, which holds its program, its external weights and its methods; if they are loaded
  from memory, the session holds the buffers, and lets the module go first.
- A module loads a method when it first runs, and there is no call for the loading alone. A run
  without inputs loads it, and then stops at the first input, which has not been set.
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

__all__ = ["LOADS_FROM_MEMORY", "ExecutorchSession", "open_session", "preload"]

LOADS_FROM_MEMORY = True

_LOCK = threading.RLock()
_WEIGHTS = ".ptd"
# ExecuTorch's number for float16 (`ScalarType::Half`).
_HALF = 5
_NO_INPUT = "has not been set."


class _Buffers(NamedTuple):
    """A program's content in memory, and that of its external weights, if it has them."""

    program: bytes
    weights: bytes | None


class ExecutorchSession(Closing):
    """A program in ExecuTorch; made by `open_session`.

    Attributes:
        threads: the size of the process's thread pool while this is open.
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
        """See `edge_pipeline.runtime.base.Session.run`."""
        values, sizes = check_inputs(self._spec, inputs)
        with _LOCK, _listening() as heard:
            if self._module is None:
                raise RuntimeFailure(f"the session of {self._spec.name} is closed; open another")
            # torch warns of arrays that it could not write to.
            tensors = [
                self._torch.from_numpy(np.require(value, requirements=("C", "W")))
                for value in values
            ]
            # A program in half precision takes and gives it; sessions are float32.
            given = [t.half() if half else t for t, half in zip(tensors, self._halves, strict=True)]
            try:
                outputs: list[torch.Tensor] = self._module.run_method(self._method, given)
            except RuntimeError as error:
                raise RuntimeFailure(
                    f"ExecuTorch could not run {self._spec.name}: {_cause(error, heard)}"
                ) from error
        # The binding clones outputs, and here they lie in memory as their shape says.
        widened = (t.float() if t.dtype == self._torch.float16 else t for t in outputs)
        return check_outputs(self._spec, [t.contiguous().numpy() for t in widened], sizes)

    def close(self) -> None:
        """Let the program and its memory go."""
        with _LOCK:
            self._module = None
            self._buffers = None
            _OPEN.discard(self)


_OPEN: WeakSet[ExecutorchSession] = WeakSet()


def open_session(
    path: Path, spec: ProgramSpec, threads: int, replaced: Mapping[str, bytes] | None = None
) -> ExecutorchSession:
    """Load a `.pte` file, and the `.ptd` beside it that holds its weights, if there is one.

    Args:
        path: the file.
        spec: what the manifest says of it.
        threads: the size of the thread pool, which all open ExecuTorch sessions share.
        replaced: content that takes the place of the program's files, by name in the artifact.

    Raises:
        MissingExtraError: torch or executorch is not installed.
        RuntimeFailure: the file cannot be loaded, its tensors are not the manifest's, or another
            session is open with another number of threads.
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
    """The program's files, those from disk that are not replaced."""

    def content(name: str, file: Path) -> bytes:
        return replaced[name] if name in replaced else file.read_bytes()

    program = content(spec.file, path)
    if weights is None:
        return _Buffers(program, None)
    (name,) = (name for name in spec.extra if name.endswith(_WEIGHTS))
    return _Buffers(program, content(name, weights))


def _weights_of(path: Path, spec: ProgramSpec) -> Path | None:
    """The file of external weights beside the program, if the manifest lists one."""
    for name in spec.extra:
        if name.endswith(_WEIGHTS):
            weights = path.with_name(Path(name).name)
            if not weights.is_file():
                raise RuntimeFailure(f"{path} needs its weights, {weights.name}, beside it")
            return weights
    return None


def _load(module: Any, method: str, heard: list[str]) -> None:
    """Load a method, which is otherwise done at its first run."""
    try:
        module.run_method(method, [])
    except RuntimeError:
        if not "".join(heard).rstrip().endswith(_NO_INPUT):
            raise


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


def _method_name(names: list[str], spec: ProgramSpec, path: Path) -> str:
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
