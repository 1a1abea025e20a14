"""ONNX Runtime on the CPU."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from numpy.typing import NDArray

from edge_pipeline.artifact.manifest import ProgramSpec
from edge_pipeline.closing import Closing
from edge_pipeline.errors import RuntimeFailure, first_line
from edge_pipeline.optional import require
from edge_pipeline.runtime.base import ProfiledOperator, check_inputs, check_outputs

__all__ = ["LOADS_FROM_MEMORY", "PACKAGE", "OnnxSession", "open_session", "preload", "profile"]

PACKAGE = "onnxruntime"
LOADS_FROM_MEMORY = True

_FATAL = 4
_KERNEL = "_kernel_time"
_RUNS_BEFORE = 3
# A program that runs once per capture, on one row of features, reads its matrices once. If they are
# larger than this number of bytes, they stay in the file, which the runtime maps, instead of being
# copied into another order. (The order changes the rounding of sums.)
_RUNS_ONCE, _MAPPED_FROM = "predict_filters", 1 << 24
_FOLDER_OF_WEIGHTS = "session.model_external_initializers_file_folder_path"


class OnnxSession(Closing):
    """A program loaded in ONNX Runtime; created by `open_session`."""

    def __init__(self, session: Any, spec: ProgramSpec) -> None:
        self._session = session
        self._spec = spec

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Run the program; see `edge_pipeline.runtime.base.Session.run`."""
        if self._session is None:
            raise RuntimeFailure(f"the session of {self._spec.name} is closed; open a new one")
        values, sizes = check_inputs(self._spec, inputs)
        feed = {t.name: value for t, value in zip(self._spec.inputs, values, strict=True)}
        try:
            outputs = self._session.run([t.name for t in self._spec.outputs], feed)
        except Exception as error:  # ONNX Runtime's errors have no other common base class
            raise RuntimeFailure(
                f"ONNX Runtime could not run {self._spec.name}: {first_line(error)[:300]}"
            ) from error
        return check_outputs(self._spec, outputs, sizes)

    def close(self) -> None:
        """Release the program and its memory."""
        self._session = None


def open_session(
    path: Path, spec: ProgramSpec, threads: int, replaced: Mapping[str, bytes] | None = None
) -> OnnxSession:
    """Load an ONNX file.

    Args:
        path: Path of the file; its weights files are found by their relative names.
        spec: Description of the program in the manifest.
        threads: Number of threads that compute one operator; operators run one after another.
        replaced: Contents to use instead of the program's files, by name in the artifact.

    Raises:
        MissingExtraError: If onnxruntime is not installed.
        RuntimeFailure: If the file cannot be loaded, if its tensors differ from those in the
            manifest, or if this version of onnxruntime cannot load weights from memory.
    """
    runtime = preload()
    # Set for the process, because some messages (thread affinity, devices) belong to no session.
    runtime.set_default_logger_severity(_FATAL)
    options = _options(runtime, threads)
    if spec.name == _RUNS_ONCE and _weights_size(path, spec) > _MAPPED_FROM:
        options.add_session_config_entry("session.disable_prepacking", "1")
    # Memory of a program that runs once for each capture is returned to the system after it.
    options.enable_cpu_mem_arena = spec.name != _RUNS_ONCE
    model: str | bytes = str(path)
    if replaced:
        model = replaced.get(spec.file, model)
        _register_weights(runtime, options, {n: replaced[n] for n in spec.extra if n in replaced})
        # A model that is loaded from memory has no folder, so the folder is set here.
        options.add_session_config_entry(_FOLDER_OF_WEIGHTS, str(path.parent))
    try:
        session = runtime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's errors have no other common base class
        raise RuntimeFailure(
            f"ONNX Runtime could not load {path}: {first_line(error)[:300]}"
        ) from error
    _check_names(session, spec, path)
    return OnnxSession(session, spec)


def profile(
    path: Path, spec: ProgramSpec, threads: int, inputs: Mapping[str, NDArray[Any]], runs: int
) -> list[ProfiledOperator]:
    """Run an ONNX file with ONNX Runtime's profiler; see `runtime.base.profile_program`.

    Operators are those after ONNX Runtime's optimisations, in the order of their first run.

    Raises:
        RuntimeFailure: If the program cannot be run, or the profile cannot be read.
    """
    runtime = preload()
    runtime.set_default_logger_severity(_FATAL)
    options = _options(runtime, threads)
    options.enable_profiling = True
    with tempfile.TemporaryDirectory() as folder:
        options.profile_file_prefix = str(Path(folder) / "profile")
        try:
            inner = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime's errors have no other common base class
            raise RuntimeFailure(
                f"ONNX Runtime could not load {path}: {first_line(error)[:300]}"
            ) from error
        with OnnxSession(inner, spec) as session:
            for _ in range(_RUNS_BEFORE + runs):
                session.run(inputs)
        try:
            events = json.loads(Path(inner.end_profiling()).read_text(encoding="utf-8"))
            return _operators(events)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise RuntimeFailure("the profile of ONNX Runtime cannot be read") from error


def _operators(events: list[dict[str, Any]]) -> list[ProfiledOperator]:
    """Return the operators in the events of a profile, without the first runs."""
    starts = sorted(event["ts"] for event in events if event["name"] == "model_run")
    found: dict[str, ProfiledOperator] = {}
    for event in events:
        if event["name"].endswith(_KERNEL) and event["ts"] >= starts[_RUNS_BEFORE]:
            name = event["name"].removesuffix(_KERNEL)
            before = found[name].elapsed_ns if name in found else 0
            kind = event["args"]["op_name"]
            found[name] = ProfiledOperator(name, kind, before + 1000 * int(event["dur"]))
    return list(found.values())


def _weights_size(path: Path, spec: ProgramSpec) -> int:
    """Return the bytes of a program's weights files; those that do not exist count as empty."""
    files = [path.parent / name.rpartition("/")[2] for name in spec.extra]
    return sum(file.stat().st_size for file in files if file.is_file())


def _register_weights(runtime: Any, options: Any, files: Mapping[str, bytes]) -> None:
    """Register weights files in memory; the session copies them when it is created."""
    if not files:
        return
    if not hasattr(options, "add_external_initializers_from_files_in_memory"):
        raise RuntimeFailure(
            f"onnxruntime {runtime.__version__} cannot load weights from memory; update it"
        )
    contents = list(files.values())
    options.add_external_initializers_from_files_in_memory(
        [name.rpartition("/")[2] for name in files], contents, [len(data) for data in contents]
    )


def preload() -> ModuleType:
    """Import and return the runtime's package, so that loading a program does not import it.

    Raises:
        MissingExtraError: If onnxruntime is not installed.
    """
    # onnxruntime is in the base install, so no extra is necessary; `onnx` also requires it.
    return require("onnxruntime", "onnx", "running ONNX artifacts")


def _options(runtime: Any, threads: int) -> Any:
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Plans of the memory of each shape are kept; tiles of several shapes took a third more memory.
    options.enable_mem_pattern = False
    options.execution_mode = runtime.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.log_severity_level = _FATAL
    # A pattern of the memory of a size's first run would be allocated as one block from its second
    # run on, beside the memory of the first run, which is kept: nearly twice the memory, no faster.
    options.enable_mem_pattern = False
    # Threads spin between the operators of a run, which is fast. Between runs they must not spin,
    # because they would block the cores for the next step (tiling, colour, encoding).
    options.add_session_config_entry("session.force_spinning_stop", "1")
    return options


def _check_names(session: Any, spec: ProgramSpec, path: Path) -> None:
    for kind, tensors, found in (
        ("inputs", spec.inputs, session.get_inputs()),
        ("outputs", spec.outputs, session.get_outputs()),
    ):
        listed = sorted(tensor.name for tensor in tensors)
        names = sorted(value.name for value in found)
        if names != listed:
            raise RuntimeFailure(
                f"{path} has the {kind} {', '.join(names)}; the manifest lists {', '.join(listed)}"
            )
