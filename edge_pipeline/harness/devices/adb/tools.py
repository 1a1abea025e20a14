"""Runners that are the runtimes' own benchmark programs, which the user gives with `--runner`.

None of these programs was run in the development of this module, because their Android builds could
not be obtained; tests run substitutes that print the same text. Each order starts the program
anew, and a sample is the mean time of a few runs, because the programs print no other times.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_pipeline.artifact.schema import Precision
from edge_pipeline.artifact.store import Artifact
from edge_pipeline.errors import RuntimeFailure
from edge_pipeline.harness.devices.link import (
    Answer,
    Link,
    pull_checked,
    push_checked,
)
from edge_pipeline.harness.devices.runners import Place, install_executable
from edge_pipeline.harness.protocol import Loaded, TimedRun

__all__ = ["TOOLS", "Tool", "ToolRunner"]

_RUNS = 5
_TIME_S = 300.0


@dataclass(frozen=True)
class Files:
    """Paths on the device for one job: program, inputs in their order, and outputs."""

    program: str
    inputs: Sequence[tuple[str, str]]
    outputs: str


@dataclass(frozen=True)
class Tool:
    """A benchmark program.

    Attributes:
        name: Beginning of the name of its file.
        backend: Backend whose programs it runs.
        words: Function that returns its arguments for the files, the threads and the runs.
        mean_ms: Pattern whose first group is the time of a run, or of all runs.
        is_total: Whether the time is that of all runs.
        init_ms: Pattern whose first group is the time of loading; None if it is not printed.
        to_ms: Factor from the printed unit to milliseconds.
        output_files: Function that returns the files of outputs that it writes, in their order;
            None if it writes none.
        joined: Whether it writes all outputs into one file.
    """

    name: str
    backend: str
    words: Callable[[Files, int, int], list[str]]
    mean_ms: str
    is_total: bool = False
    init_ms: str | None = None
    to_ms: float = 1.0
    output_files: Callable[[str, int], list[str]] | None = None
    joined: bool = False


def _benchmark_model(files: Files, threads: int, runs: int) -> list[str]:
    values = ",".join(f"{name}:{path}" for name, path in files.inputs)
    return [
        f"--graph={files.program}",
        f"--num_threads={threads}",
        f"--num_runs={runs}",
        "--min_secs=0",
        "--warmup_runs=1",
        "--warmup_min_secs=0",
        "--use_xnnpack=true",
        f"--input_layer_value_files={values}",
        f"--output_filepath={files.outputs}",
    ]


def _executor_runner(files: Files, threads: int, runs: int) -> list[str]:
    return [
        f"--model_path={files.program}",
        f"--num_executions={runs}",
        f"--cpu_threads={threads}",
        f"--inputs={','.join(path for _, path in files.inputs)}",
        f"--output_file={files.outputs}",
    ]


def _perf_test(files: Files, threads: int, runs: int) -> list[str]:
    return ["-e", "cpu", "-m", "times", "-r", str(runs), "-x", str(threads), "-I", files.program]


TOOLS = (
    Tool(
        "benchmark_model",
        "litert",
        _benchmark_model,
        r"Inference \(avg\): ([\d.e+]+)",
        init_ms=r"Init: ([\d.e+]+)",
        to_ms=1e-3,
        output_files=lambda path, _count: [path],
        joined=True,
    ),
    Tool(
        "executor_runner",
        "executorch",
        _executor_runner,
        r"executed successfully \d+ time\(s\) in ([\d.]+) ms",
        is_total=True,
        output_files=lambda path, count: [f"{path}-{index}.bin" for index in range(count)],
    ),
    Tool(
        "onnxruntime_perf_test", "onnx", _perf_test, r"Average inference time cost[^:]*: ([\d.]+)"
    ),
)
"""Known benchmark programs, by the beginnings of their files' names."""


class ToolRunner:
    """A benchmark program on the device.

    Args:
        tool: The kind of program.
        source: Its file on this machine.
    """

    pins = True

    def __init__(self, tool: Tool, source: Path) -> None:
        self.name = f"{source.name} (each sample is the mean of {_RUNS} runs)"
        self.backends = frozenset({tool.backend})
        self._tool = tool
        self._source = source

    def refusal(self, artifact: Artifact, size: tuple[int, int] | None) -> str | None:
        """Return the reason why the program cannot run an artifact; None if it can."""
        if artifact.manifest.backend not in self.backends:
            return f"runs {self._tool.backend}"
        if size is not None:
            return "runs a program at the size of its reference input only"
        return None

    def install(self, link: Link, folder: str) -> None:
        """Copy the program into a folder of the device."""
        install_executable(link, self._source, folder)

    def start(self, place: Place) -> ToolWorker:
        """Copy the reference input, and return a worker that starts the program for each order."""
        path = f"{place.tools}/{self._source.name}"
        return ToolWorker(self._tool, path, self.name, place)


class ToolWorker:
    """A job that a benchmark program runs; it is started for each order."""

    block = 1

    def __init__(self, tool: Tool, path: str, runner: str, place: Place) -> None:
        self.runner = runner
        self.precision: Precision | None = None
        self.versions: dict[str, str] = {}
        self.open = True
        self._tool = tool
        self._path = path
        self._place = place
        spec = place.job.artifact.program(place.job.program)
        self._spec = spec
        inputs, _ = place.job.artifact.reference(place.job.program)
        self._files = Files(
            f"{place.artifact}/{spec.file}",
            [(t.name, f"{place.scratch}/input{k}.bin") for k, t in enumerate(spec.inputs)],
            f"{place.scratch}/outputs",
        )
        with tempfile.TemporaryDirectory() as folder:
            files: dict[str, Path] = {}
            for name, target in self._files.inputs:
                files[target] = Path(folder) / target.rpartition("/")[2]
                files[target].write_bytes(np.ascontiguousarray(inputs[name]).tobytes())
            push_checked(place.link, files)

    def load(self) -> Loaded:
        """Run once, and return the time of loading that the program prints; 0 if it prints none."""
        text = self._run(1)
        found = re.search(self._tool.init_ms, text) if self._tool.init_ms else None
        return Loaded(0, round(float(found[1]) * self._tool.to_ms * 1e6) if found else 0)

    def run(self, count: int) -> list[TimedRun]:
        """Start the program `count` times, and return the mean time of its runs for each."""
        return [TimedRun(self._mean_ns()) for _ in range(count)]

    def outputs(self) -> dict[str, NDArray[Any]] | None:
        """Return the outputs for the reference input; None if the program writes none."""
        if self._tool.output_files is None:
            return None
        self._run(1)
        _, expected = self._place.job.artifact.reference(self._place.job.program)
        content = b""
        with tempfile.TemporaryDirectory() as folder:
            local = Path(folder) / "output.bin"
            for path in self._tool.output_files(self._files.outputs, len(expected)):
                pull_checked(self._place.link, path, local)
                content += local.read_bytes()
        values = [expected[spec.name] for spec in self._spec.outputs]
        if len(content) != sum(value.nbytes for value in values):
            raise RuntimeFailure(
                f"{self.runner} wrote {len(content)} bytes of outputs instead of "
                f"{sum(value.nbytes for value in values)}"
            )
        found, start = {}, 0
        for spec, value in zip(self._spec.outputs, values, strict=True):
            part = content[start : start + value.nbytes]
            found[spec.name] = np.frombuffer(part, value.dtype).reshape(value.shape)
            start += value.nbytes
        return found

    def close(self) -> None:
        """Release the job; no process runs between orders."""
        self.open = False

    def _mean_ns(self) -> int:
        text = self._run(_RUNS)
        found = re.search(self._tool.mean_ms, text)
        if found is None:
            raise RuntimeFailure(f"{self.runner} printed no time for {self._place.job.label}")
        total = float(found[1]) * self._tool.to_ms * 1e6
        return max(1, round(total / (_RUNS if self._tool.is_total else 1)))

    def _run(self, runs: int) -> str:
        words = [self._path, *self._tool.words(self._files, self._place.threads, runs)]
        if self._place.cpus is not None:
            mask = sum(1 << cpu for cpu in self._place.cpus)
            words = ["taskset", f"{mask:x}", *words]
        answer: Answer = self._place.link.run(words, timeout_s=_TIME_S)
        if answer.code:
            lines = (answer.stderr.strip() or answer.stdout.strip()).splitlines()
            how = f"ended by signal {answer.code - 128}" if answer.code > 128 else "failed"
            last = f": {lines[-1]}" if lines else ""
            raise RuntimeFailure(f"{self.runner} {how} with {self._place.job.label}{last}")
        return answer.stdout + answer.stderr
