"""Measurement of compiled programs and eager networks in turns, each in its own process.

The other benchmarks use this module, which prints nothing. Eager networks run with torch's default
settings, or in channels-last with huge pages, which avoids the page faults of large outputs. torch
reads the allocator's setting when it starts, so the latter process has another environment.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

from edge_pipeline.artifact.store import Artifact
from edge_pipeline.harness.devices.this_machine import host_worker
from edge_pipeline.harness.job import Job
from edge_pipeline.harness.machine import (
    allowed_cpus,
    busy_percent,
    choose_cpus,
    cores_of,
    cpu_name,
)
from edge_pipeline.harness.process import ProcessWorker
from edge_pipeline.harness.protocol import Loaded, Plan, TimedRun, measure
from edge_pipeline.harness.statistics import summarise

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["RUNTIMES", "Case", "Eager", "Figures", "Served", "compiled", "run_all"]

Value = str | int | float | bool
# Backends whose programs run on this machine, with their names in tables.
RUNTIMES = {"executorch": "ExecuTorch", "onnx": "ONNX Runtime", "litert": "LiteRT"}


@dataclass(frozen=True)
class Case:
    """A compiled program to measure.

    Attributes:
        name: Name in the table.
        backend: Name of the backend in the registry.
        model: Registered name of the model.
        options: Options of the network.
        form: Further fields of the CompileRequest: filters, fixed, window, precision.
        program: Name of the program in the artifact.
    """

    name: str
    backend: str
    model: str
    options: Mapping[str, Value]
    form: Mapping[str, Any] = field(default_factory=dict)
    program: str = "forward"

    def folder(self, size: tuple[int, int]) -> str:
        """Return the folder name of the artifact, equal for all programs of one artifact."""
        said = [f"{key}={value}" for key, value in {**self.options, **self.form}.items()]
        return "-".join([self.backend, self.model, *said, f"{size[0]}x{size[1]}"])


@dataclass(frozen=True)
class Eager:
    """A network in torch to measure.

    Attributes:
        name: Name in the table.
        model: Registered name of the model; `peak` is one large convolution.
        options: Options of the network.
        tuned: Whether to use channels-last and huge pages.
        fixed: Values of fixed inputs, by the names of parameters of `forward`.
        folded: Whether filters are predicted before the timed runs.
    """

    name: str
    model: str
    options: Mapping[str, Value] = field(default_factory=dict)
    tuned: bool = False
    fixed: Mapping[str, Value] = field(default_factory=dict)
    folded: bool = False


@dataclass(frozen=True)
class Figures:
    """One row: statistics of the timed runs in milliseconds, and multiply-accumulates per run."""

    median: float
    p10: float
    p90: float
    least: float
    macs: int

    def cells(self) -> str:
        """Return median, spread and minimum as table cells."""
        return f"{self.median:.1f} | {self.p10:.1f} to {self.p90:.1f} | {self.least:.1f}"


class Served:
    """A process that runs a script of this folder, which loads and runs a program on request.

    Args:
        script: Module of the script; with `--serve REQUEST` it answers each line with nanoseconds.
        request: Description of the program to run.
        environment: Environment of the process; one thread per library is added to it.
        stderr: Destination of its stderr, as for Popen; by default that of this process.
    """

    block = 1

    def __init__(
        self,
        script: str,
        request: Mapping[str, Any],
        environment: Mapping[str, str] = os.environ,
        stderr: int | None = None,
    ) -> None:
        self._script = script
        self._process = subprocess.Popen(  # noqa: S603 - a file of this folder
            [sys.executable, "-m", script, "--serve", json.dumps(request)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            env={**environment, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"},
        )

    def _ask(self, order: str) -> int:
        pipes = self._process.stdin, self._process.stdout
        if pipes[0] is None or pipes[1] is None:
            raise RuntimeError(f"the process of {self._script} has no pipes")
        pipes[0].write(order + "\n")
        pipes[0].flush()
        line = pipes[1].readline()
        if not line:
            raise RuntimeError(f"the process of {self._script} ended during the order {order}")
        return int(line)

    def load(self) -> Loaded:
        """Load the program, and return the time."""
        return Loaded(0, self._ask("load"))

    def run(self, count: int) -> list[TimedRun]:
        """Run the program `count` times, and return the times."""
        return [TimedRun(self._ask("run")) for _ in range(count)]

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()


def _eager_worker(eager: Eager, size: tuple[int, int], cpu: int) -> Served:
    """Return a process that runs a network in torch, pinned to one processor."""
    environment = {k: v for k, v in os.environ.items() if k != "THP_MEM_ALLOC_ENABLE"}
    if eager.tuned:
        environment["THP_MEM_ALLOC_ENABLE"] = "1"
    request = {"eager": asdict(eager), "size": size, "cpu": cpu}
    return Served("benchmarks.interleaved", request, environment)


def _built(eager: Eager, size: tuple[int, int]) -> tuple[nn.Module, tuple[Tensor, ...], Any]:
    """Return the network, its inputs, and the function that is timed."""
    import torch

    from edge_pipeline.compiler.source.geometry import Geometry
    from edge_pipeline.compiler.source.reference import synthetic_inputs
    from edge_pipeline.models.base import fresh_model

    if eager.model == "peak":
        peak = torch.nn.Conv2d(64, 64, 3, padding=1)
        return peak, (torch.rand(1, 64, *size),), peak
    model: Any = fresh_model(eager.model, dict(eager.options))
    inputs = synthetic_inputs(Geometry.of(model), *size)
    with torch.inference_mode():
        if eager.folded:
            filters = model.predict_filters(*inputs)
            return model, inputs, lambda x: model.apply_filters(x, filters)
    return model, inputs, lambda *values: model(*values, **eager.fixed)


def _last(value: Tensor) -> Tensor:
    """Return a tensor in channels-last if it has four axes."""
    import torch

    return value.contiguous(memory_format=torch.channels_last) if value.dim() == 4 else value


def serve(request: Mapping[str, Any]) -> None:
    """Run an eager network: read an order per line, and print the time of each in nanoseconds."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {request["cpu"]})
    import torch

    torch.set_num_threads(1)
    eager, size = Eager(**request["eager"]), (request["size"][0], request["size"][1])
    inputs: tuple[Tensor, ...] = ()
    function: Any = None
    for order in sys.stdin:
        start = perf_counter_ns()
        if order.strip() == "run":
            with torch.inference_mode():
                function(*inputs)
        else:
            model, inputs, function = _built(eager, size)
            if eager.tuned:
                # Only weights of Conv2d: the constant filter of a HyperConv has five dimensions.
                for module in model.modules():
                    if isinstance(module, torch.nn.Conv2d):
                        module.weight.data = _last(module.weight.data)
                inputs = tuple(map(_last, inputs))
        print(perf_counter_ns() - start, flush=True)


def compiled(folder: Path, cases: Sequence[Case], size: tuple[int, int]) -> dict[str, float]:
    """Compile the artifacts that `folder` lacks; return the seconds of each, by folder name."""
    from edge_pipeline.compiler.compile import CompileRequest, compile_model

    seconds: dict[str, float] = {}
    for case in cases:
        target = folder / case.folder(size)
        if target.exists():
            continue
        print(f"compiling {target.name}", file=sys.stderr)
        start = perf_counter_ns()
        request = CompileRequest(
            source=case.model,
            output=target,
            backend=case.backend,
            options=case.options,
            size=size,
            **case.form,
        )
        compile_model(request)
        seconds[target.name] = (perf_counter_ns() - start) / 1e9
    return seconds


def run_all(
    folder: Path, cases: Sequence[Case], eagers: Sequence[Eager], size: tuple[int, int], plan: Plan
) -> tuple[dict[str, Figures], float, str]:
    """Measure all programs and networks in turns.

    Args:
        folder: Folder of the artifacts that `compiled` wrote.
        cases: Compiled programs.
        eagers: Networks in torch.
        size: Height and width of the first input.
        plan: Numbers of warm-up and timed runs.

    Returns:
        The rows by name; the peak in GFLOP/s that torch's 64 -> 64 3x3 convolution reached in its
        fastest run; and a description of the machine.
    """
    allowed = allowed_cpus()
    cpu = choose_cpus(busy_percent(allowed), cores_of(allowed), 1)[0]
    everything = [*eagers, Eager("peak", "peak", tuned=True)]
    jobs = [Job(Artifact.open(folder / c.folder(size)), c.program) for c in cases]
    workers: list[Served | ProcessWorker] = []
    try:
        for eager in everything:
            workers.append(_eager_worker(eager, size, cpu))  # noqa: PERF401 - closed if one fails
        for job in jobs:
            workers.append(host_worker(job, threads=1, cpus=[cpu]))  # noqa: PERF401
        timings = measure(workers, plan)
    finally:
        for worker in workers:
            worker.close()
    names = [eager.name for eager in everything] + [case.name for case in cases]
    macs = [0] * len(everything) + [job.artifact.program(job.program).macs for job in jobs]
    figures = {
        name: _figures(timing.samples_ms, count)
        for name, timing, count in zip(names, timings, macs, strict=True)
    }
    peak = 2 * 64 * 64 * 9 * size[0] * size[1] / figures.pop("peak").least / 1e6
    where = (
        f"{cpu_name()}, 1 thread on processor {cpu}, {size[0]}x{size[1]}, {plan.runs} rounds; peak "
        f"{peak:.0f} GFLOP/s (torch, 64 -> 64 3x3 convolution, its fastest run)"
    )
    return figures, peak, where


def _figures(samples: Sequence[float], macs: int) -> Figures:
    latency, low = summarise(samples), sorted(samples)[len(samples) // 10]
    return Figures(latency.median_ms, low, latency.p90_ms, latency.min_ms, macs)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--serve", required=True)
    serve(json.loads(parser.parse_args().serve))
