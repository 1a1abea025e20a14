"""Times of the operators of a LiteRT program, from the profiler of LiteRT's C interface.

The interpreter of the Python package has no profiler, but the package contains the C library of
LiteRT 2, whose compiled models have one. It reports the operators that XNNPACK executes. Only
functions without structures in their arguments are used: the profile is read from the table that
LiteRT prints, because the layout of an event is not part of the interface.

Source: LiteRT, `litert/c/litert_profiler.h`, `litert_compiled_model.h`, `litert_runtime_options.h`.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_pipeline.artifact.manifest import ProgramSpec
from edge_pipeline.errors import InputError, RuntimeFailure
from edge_pipeline.runtime.base import ProfiledOperator, check_inputs

__all__ = ["operators_in", "profile_file"]

_LIBRARY = "libLiteRt.so"
_CPU = _WRITE = 1
_RUNS_BEFORE = 3
# No tensor type takes more bytes: its layout has at most eight sizes and eight strides.
_TYPE_BYTES = 1024
# Names of groups of options, and their content in TOML.
_RUNTIME_OPTIONS = (b"runtime_options_string", b"enable_profiling = true\n")
_THREADS = b"xnnpack", b"num_threads = %d\n"
_NO_PROFILER = "this version of LiteRT's Python package has no profiler"
_HEADER = re.compile(r"^=+ (.+?) =+$")
_ROW = re.compile(
    r"^\s*(?P<kind>\S.*?)\s+\d+\.\d+\s+\d+\.\d+\s+(?P<ms>\d+\.\d+)\s+\d+\.\d+%\s+\d+\.\d+%"
    r"\s+-?\d+\.\d+\s+(?P<times>\d+)\s+(?P<name>\S.*)$"
)
_DELEGATED = "Delegate/"


def profile_file(
    litert: ModuleType,
    path: Path,
    spec: ProgramSpec,
    threads: int,
    inputs: Mapping[str, NDArray[Any]],
    runs: int,
) -> list[ProfiledOperator]:
    """Run a `.tflite` file with LiteRT's profiler; see `runtime.base.profile_program`.

    Args:
        litert: The package `ai_edge_litert`, or a module of it.
        path: Path of the file.
        spec: Description of the program in the manifest.
        threads: Number of threads that compute one operator.
        inputs: Inputs by name.
        runs: Number of runs that count; three precede them.

    Returns:
        The operators in the order in which they run. An operator that XNNPACK executes has
        XNNPACK's type and number; one that LiteRT executes has the name of its output.

    Raises:
        InputError: If this version of LiteRT has no profiler, or an input does not fit.
        RuntimeFailure: If the program cannot be run, or the profile cannot be read.
    """
    check_inputs(spec, inputs)
    with ExitStack() as stack:
        model = _Model(_library(litert), path, spec, threads, stack)
        model.check_inputs(sorted(inputs))
        for name, value in inputs.items():
            model.write(name, value)
        for _ in range(_RUNS_BEFORE):
            model.run()
        return _summed(model.profiled_run() for _ in range(runs))


def operators_in(summary: str) -> list[ProfiledOperator]:
    """Return the operators in the table of their order, which LiteRT's profiler prints.

    Args:
        summary: Text of the profile of one run.
    """
    found, is_inside = [], False
    for line in summary.splitlines():
        if header := _HEADER.match(line.strip()):
            is_inside = header[1] == "Run Order"
        elif is_inside and (row := _ROW.match(line)):
            elapsed = round(float(row["ms"]) * 1e6) * int(row["times"])
            kind, name = row["kind"], row["name"]
            if kind.startswith(_DELEGATED):
                kind = kind.removeprefix(_DELEGATED)
                name = "operator " + name.rpartition(":")[2]
            found.append(ProfiledOperator(name, kind, elapsed))
    return found


def _summed(profiles: Iterator[list[ProfiledOperator]]) -> list[ProfiledOperator]:
    """Return the operators of several runs with the sums of their times.

    Raises:
        RuntimeFailure: If there are none, or a run has other operators than the first one.
    """
    sums: list[ProfiledOperator] = []
    for profile in profiles:
        if sums and [one[:2] for one in profile] != [one[:2] for one in sums]:
            sums = []
            break
        before = [one.elapsed_ns for one in sums] or [0] * len(profile)
        sums = [
            one._replace(elapsed_ns=one.elapsed_ns + elapsed)
            for one, elapsed in zip(profile, before, strict=True)
        ]
    if not sums:
        raise RuntimeFailure("the profile of LiteRT cannot be read")
    return sums


def _library(litert: ModuleType) -> ctypes.CDLL:
    """Return LiteRT's C library.

    Raises:
        InputError: If this version of the package does not contain it.
    """
    try:
        return ctypes.CDLL(str(Path(str(litert.__file__)).with_name(_LIBRARY)))
    except OSError:
        raise InputError(_NO_PROFILER) from None


class _Model:
    """A compiled model with buffers for its inputs and outputs, and its profiler.

    Args:
        library: LiteRT's C library.
        path: Path of the file.
        spec: Description of the program.
        threads: Number of threads that compute one operator.
        stack: Stack that releases everything.
    """

    def __init__(
        self, library: ctypes.CDLL, path: Path, spec: ProgramSpec, threads: int, stack: ExitStack
    ) -> None:
        self._library = library
        self._path = path
        self._stack = stack
        self._environment = self._made("Environment", 0, None)
        self._model = self._made("ModelFromFile", self._environment, str(path).encode())
        options = self._options(threads)
        self._compiled = self._made("CompiledModel", self._environment, self._model, options)
        self._profiler = self._got("LiteRtCompiledModelGetProfiler", self._compiled)
        if not self._profiler:
            raise InputError(_NO_PROFILER)
        self._index, self._signature = self._find(spec.name)
        self._inputs = self._buffers("Input")
        self._outputs = self._buffers("Output")

    def check_inputs(self, names: list[str]) -> None:
        """Raise RuntimeFailure unless these are the names of the program's inputs."""
        if sorted(self._inputs) != names:
            raise RuntimeFailure(
                f"{self._path} has the inputs {', '.join(self._inputs)}; the manifest lists "
                f"{', '.join(names)}"
            )

    def write(self, name: str, value: NDArray[Any]) -> None:
        """Copy an array to the input of a name.

        Raises:
            InputError: If its size differs from that of the program's input.
        """
        buffer = self._inputs[name]
        size = ctypes.c_size_t()
        self._call("LiteRtGetTensorBufferPackedSize", buffer, ctypes.byref(size))
        narrowed = value.astype(np.int32) if value.dtype == np.int64 else value
        content = np.ascontiguousarray(narrowed)
        if content.nbytes != size.value:
            raise InputError(
                f"LiteRT's profiler runs {self._path} only at the size at which it was compiled"
            )
        memory = ctypes.c_void_p()
        self._call("LiteRtLockTensorBuffer", buffer, ctypes.byref(memory), _WRITE)
        ctypes.memmove(memory, content.ctypes.data, content.nbytes)
        self._call("LiteRtUnlockTensorBuffer", buffer)

    def run(self) -> None:
        """Run the program once."""
        arrays: list[Any] = []
        for buffers in (self._inputs, self._outputs):
            array = (ctypes.c_void_p * len(buffers))(*(b.value for b in buffers.values()))
            arrays += [ctypes.c_size_t(len(buffers)), array]
        self._call("LiteRtRunCompiledModel", self._compiled, ctypes.c_size_t(self._index), *arrays)

    def profiled_run(self) -> list[ProfiledOperator]:
        """Run the program once, and return the times of its operators."""
        self._call("LiteRtResetProfiler", self._profiler)
        self._call("LiteRtStartProfiler", self._profiler)
        self.run()
        self._call("LiteRtStopProfiler", self._profiler)
        summary = self._got("LiteRtGetProfileSummary", self._profiler, self._compiled)
        try:
            text = ctypes.string_at(summary).decode("utf-8", "replace")
        finally:
            _free()(summary)
        return operators_in(text)

    def _options(self, threads: int) -> ctypes.c_void_p:
        options = self._made("Options")
        self._call("LiteRtSetOptionsHardwareAccelerators", options, _CPU)
        kind, text = _THREADS
        for identifier, content in (_RUNTIME_OPTIONS, (kind, text % threads)):
            # The options own the content, and release it with the C library's `free`.
            copy = ctypes.c_void_p(_strdup()(content))
            free = ctypes.cast(_free(), ctypes.c_void_p)
            opaque = self._got("LiteRtCreateOpaqueOptions", identifier, copy, free)
            self._call("LiteRtAddOpaqueOptions", options, opaque)
        return options

    def _find(self, name: str) -> tuple[int, ctypes.c_void_p]:
        """Return the signature of a program with its number; the only one, whatever its name."""
        number = self._size("LiteRtGetNumModelSignatures", self._model)
        for index in range(number):
            signature = self._got("LiteRtGetModelSignature", self._model, ctypes.c_size_t(index))
            if number == 1 or self._text("LiteRtGetSignatureKey", signature) == name:
                return index, signature
        raise RuntimeFailure(f"{self._path} has no signature {name}")

    def _buffers(self, kind: str) -> dict[str, ctypes.c_void_p]:
        """Return a buffer for each input or output, by name and in the program's order."""
        found = {}
        count = self._size(f"LiteRtGetNumSignature{kind}s", self._signature)
        for number in range(count):
            index = ctypes.c_size_t(number)
            name = self._text(f"LiteRtGetSignature{kind}Name", self._signature, index)
            get = f"LiteRtGetSignature{kind}TensorByIndex"
            tensor = self._got(get, self._signature, index)
            ranked = ctypes.create_string_buffer(_TYPE_BYTES)
            self._call("LiteRtGetRankedTensorType", tensor, ranked)
            get = f"LiteRtGetCompiledModel{kind}BufferRequirements"
            needs = self._got(get, self._compiled, ctypes.c_size_t(self._index), index)
            create = "LiteRtCreateManagedTensorBufferFromRequirements"
            buffer = self._got(create, self._environment, ranked, needs)
            self._stack.callback(self._library.LiteRtDestroyTensorBuffer, buffer)
            found[name] = buffer
        return found

    def _made(self, what: str, *arguments: Any) -> ctypes.c_void_p:
        """Return a new object, which the stack destroys."""
        made = self._got(f"LiteRtCreate{what}", *arguments)
        destroy = f"LiteRtDestroy{what.removesuffix('FromFile')}"
        self._stack.callback(getattr(self._library, destroy), made)
        return made

    def _got(self, function: str, *arguments: Any) -> ctypes.c_void_p:
        """Call a function that writes a pointer to its last argument, and return the pointer."""
        found = ctypes.c_void_p()
        self._call(function, *arguments, ctypes.byref(found))
        return found

    def _text(self, function: str, *arguments: Any) -> str:
        found = ctypes.c_char_p()
        self._call(function, *arguments, ctypes.byref(found))
        return (found.value or b"").decode("utf-8", "replace")

    def _size(self, function: str, *arguments: Any) -> int:
        found = ctypes.c_size_t()
        self._call(function, *arguments, ctypes.byref(found))
        return found.value

    def _call(self, function: str, *arguments: Any) -> None:
        if not hasattr(self._library, function):
            raise InputError(_NO_PROFILER)
        status = getattr(self._library, function)(*arguments)
        if status:
            raise RuntimeFailure(
                f"LiteRT could not profile {self._path}: {function} failed with status {status}"
            )


def _free() -> Any:
    """Return the C library's `free`."""
    free = ctypes.CDLL(None).free
    free.argtypes, free.restype = [ctypes.c_void_p], None
    return free


def _strdup() -> Any:
    """Return the C library's `strdup`."""
    copy = ctypes.CDLL(None).strdup
    copy.argtypes, copy.restype = [ctypes.c_char_p], ctypes.c_void_p
    return copy
