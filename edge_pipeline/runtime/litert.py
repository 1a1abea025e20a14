"""LiteRT on the CPU, with the XNNPACK delegate that it applies by default."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_pipeline.artifact.manifest import ProgramSpec
from edge_pipeline.artifact.tensors import Dtype, TensorSpec
from edge_pipeline.closing import Closing
from edge_pipeline.errors import RuntimeFailure, first_line
from edge_pipeline.optional import require
from edge_pipeline.runtime.base import ProfiledOperator, check_inputs, check_outputs
from edge_pipeline.runtime.litert_profile import profile_file
from edge_pipeline.runtime.native import native_silence

__all__ = ["LOADS_FROM_MEMORY", "PACKAGE", "LitertSession", "open_session", "preload", "profile"]

PACKAGE = "ai_edge_litert"
LOADS_FROM_MEMORY = True

_IDENTIFIER = b"TFL3"


class LitertSession(Closing):
    """A program loaded in LiteRT; created by `open_session`."""

    def __init__(
        self,
        interpreter: Any,
        spec: ProgramSpec,
        inputs: list[int],
        outputs: list[int],
        runner: Any = None,
    ) -> None:
        self._interpreter = interpreter
        self._runner = runner  # for a program that is not the file's first one
        self._spec = spec
        self._inputs = inputs
        self._kinds = [np.dtype(_narrowed(tensor)) for tensor in spec.inputs]
        self._outputs = outputs
        # An interpreter has its own buffers, so only one thread at a time may use it.
        self._lock = threading.Lock()

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Run the program; see `edge_pipeline.runtime.base.Session.run`."""
        values, sizes = check_inputs(self._spec, inputs)
        with self._lock:
            if self._interpreter is None:
                raise RuntimeFailure(f"the session of {self._spec.name} is closed; open a new one")
            try:
                pairs = zip(values, self._kinds, strict=True)
                outputs = self._outputs_for([v.astype(kind, copy=False) for v, kind in pairs])
            except (RuntimeError, ValueError) as error:
                raise RuntimeFailure(
                    f"LiteRT could not run {self._spec.name}: {first_line(error)[:300]}"
                ) from error
        widened = (
            value.astype(np.int64) if tensor.dtype == "int64" else value
            for tensor, value in zip(self._spec.outputs, outputs, strict=True)
        )
        return check_outputs(self._spec, list(widened), sizes)

    def _outputs_for(self, values: list[NDArray[Any]]) -> list[NDArray[Any]]:
        if self._runner is not None:
            names = [tensor.name for tensor in self._spec.inputs]
            found = self._runner(**dict(zip(names, values, strict=True)))
            return [found[tensor.name] for tensor in self._spec.outputs]
        for index, value in zip(self._inputs, values, strict=True):
            self._interpreter.set_tensor(index, value)
        self._interpreter.invoke()
        # A number comes as numpy's scalar, not as an array.
        return [np.asarray(self._interpreter.get_tensor(index)) for index in self._outputs]

    def close(self) -> None:
        """Release the program and its memory."""
        with self._lock:
            self._runner = None
            self._interpreter = None


def open_session(
    path: Path, spec: ProgramSpec, threads: int, replaced: Mapping[str, bytes] | None = None
) -> LitertSession:
    """Load a `.tflite` file.

    Args:
        path: Path of the file.
        spec: Description of the program in the manifest.
        threads: Number of threads that compute one operator; operators run one after another.
        replaced: Content to use instead of the file, by its name in the artifact.

    Raises:
        MissingExtraError: If ai-edge-litert is not installed.
        RuntimeFailure: If the file cannot be loaded, or if its tensors differ from those in the
            manifest.
    """
    with native_silence():  # the import and the delegate both write log lines
        litert = preload()
        _check_identifier(path)
        content = replaced.get(spec.file) if replaced else None
        # The interpreter keeps a reference to the content and reads its constants from there.
        source = {"model_path": str(path)} if content is None else {"model_content": content}
        try:
            interpreter = litert.Interpreter(**source, num_threads=threads)
            # This also gives all programs of the file to the delegate.
            interpreter.allocate_tensors()
            names = list(interpreter.get_signature_list())
            runner = interpreter.get_signature_runner(_signature(names, spec, path))
        except (RuntimeError, ValueError) as error:
            raise RuntimeFailure(
                f"LiteRT could not load {path}: {first_line(error)[:300]}"
            ) from error
    inputs = _indices(runner.get_input_details(), spec.inputs, "inputs", path)
    outputs = _indices(runner.get_output_details(), spec.outputs, "outputs", path)
    is_first = names[:1] == [spec.name] or len(names) == 1
    return LitertSession(interpreter, spec, inputs, outputs, None if is_first else runner)


def profile(
    path: Path, spec: ProgramSpec, threads: int, inputs: Mapping[str, NDArray[Any]], runs: int
) -> list[ProfiledOperator]:
    """Run a `.tflite` file with LiteRT's profiler; see `litert_profile.profile_file`."""
    with native_silence():
        _check_identifier(path)
        return profile_file(preload(), path, spec, threads, inputs, runs)


def _signature(names: list[str], spec: ProgramSpec, path: Path) -> str | None:
    """Return the name of the program's signature; None for the only one, whatever its name."""
    if len(names) == 1:
        return None
    if spec.name not in names:
        raise RuntimeFailure(
            f"{path} has the signatures {', '.join(names) or 'none'}; expected {spec.name}"
        )
    return spec.name


def preload() -> ModuleType:
    """Import and return the runtime's package, so that loading a program does not import it.

    Raises:
        MissingExtraError: If ai-edge-litert is not installed.
    """
    return require("ai_edge_litert.interpreter", "litert", "running LiteRT artifacts")


def _check_identifier(path: Path) -> None:
    """Check that the file is a flatbuffer of this format, before native code reads it."""
    try:
        with path.open("rb") as handle:
            head = handle.read(8)
    except OSError as error:
        raise RuntimeFailure(f"LiteRT could not load {path}: {error.strerror}") from error
    if head[4:8] != _IDENTIFIER:
        raise RuntimeFailure(f"{path} is not a TensorFlow Lite program")


def _indices(
    found: Mapping[str, Any], tensors: tuple[TensorSpec, ...], kind: str, path: Path
) -> list[int]:
    """Return the interpreter's indices of the manifest's tensors, in the manifest's order."""
    if sorted(found) != sorted(tensor.name for tensor in tensors):
        raise RuntimeFailure(
            f"{path} has the {kind} {', '.join(found)}; the manifest lists "
            f"{', '.join(tensor.name for tensor in tensors)}"
        )
    free: dict[str, int] = {}
    for tensor in tensors:
        shape = tuple(int(size) for size in found[tensor.name]["shape"])
        own = np.dtype(found[tensor.name]["dtype"])
        if own != np.dtype(_narrowed(tensor)) or not tensor.fits(shape, free):
            raise RuntimeFailure(
                f"{path} has {tensor.name} as {own} "
                f"{'x'.join(map(str, shape))}; the manifest lists {tensor.text()}"
            )
    return [int(found[tensor.name]["index"]) for tensor in tensors]


def _narrowed(tensor: TensorSpec) -> Dtype:
    """Return the type in the file: LiteRT's converter changes int64 to int32."""
    return "int32" if tensor.dtype == "int64" else tensor.dtype
