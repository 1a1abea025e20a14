"""Latency of the forms that a network with computed weights is deployed in, next to eager.

    python -m benchmarks.forms [--size 256x256] [--runs 40] [--keep FOLDER] [--check]

Prints the table that docs/speed.md and decision 3 show. Each form runs in a process of its own, on
one pinned thread, in rounds, so that drift falls on all alike. Eager is given twice: as torch
comes, and in channels-last with huge pages, which spares it the page faults that large outputs
cost; the allocator's setting is read when torch starts, so that is a process with another
environment. With --check it fails if a goal is missed.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

from edge_pipeline.artifact.store import Artifact
from edge_pipeline.cli.options import parse_size
from edge_pipeline.harness.job import Job
from edge_pipeline.harness.machine import (
    allowed_cpus,
    busy_percent,
    choose_cpus,
    cores_of,
    cpu_name,
)
from edge_pipeline.harness.process import ProcessWorker
from edge_pipeline.harness.protocol import Loaded, Plan, Sample, measure, summarise

if TYPE_CHECKING:
    from edge_pipeline.compiler.entries import Form

NETWORK: dict[str, str | int | float | bool] = {"n_fwd": 16, "n_embed": 16, "n_hid": 64}
EAGER, EAGER_TUNED = "eager, default", "eager, channels-last, huge pages"
# The goals, as shares of default eager's latency.
GOALS = {"ExecuTorch, dynamic": 0.75, "ExecuTorch, folded": 0.45}
FORMS: tuple[tuple[str, Form, str], ...] = (
    ("executorch", "dynamic", "ExecuTorch, dynamic"),
    ("executorch", "folded", "ExecuTorch, folded"),
    ("executorch", "split", "ExecuTorch, apply_filters"),
    ("onnx", "dynamic", "ONNX Runtime, dynamic"),
    ("onnx", "folded", "ONNX Runtime, folded"),
    ("onnx", "split", "ONNX Runtime, apply_filters"),
)


class EagerWorker:
    """The network in torch, in a process of its own.

    Args:
        kind: `EAGER`, `EAGER_TUNED`, or `peak` for one large convolution.
        size: packed height and width.
        cpu: to pin to.
    """

    def __init__(self, kind: str, size: tuple[int, int], cpu: int) -> None:
        environment = os.environ | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
        environment.pop("THP_MEM_ALLOC_ENABLE", None)
        if kind == EAGER_TUNED:
            environment["THP_MEM_ALLOC_ENABLE"] = "1"
        words = ["--eager", kind, "--size", f"{size[0]}x{size[1]}", "--cpu", str(cpu)]
        self._process = subprocess.Popen(  # noqa: S603 - this file
            [sys.executable, "-m", "benchmarks.forms", *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )

    def _ask(self, order: str) -> int:
        pipes = self._process.stdin, self._process.stdout
        if pipes[0] is None or pipes[1] is None:
            raise RuntimeError("the eager process has no pipes")
        pipes[0].write(order + "\n")
        pipes[0].flush()
        return int(pipes[1].readline())

    def load(self) -> Loaded:
        """Build the network."""
        return Loaded(0, self._ask("load"))

    def run(self) -> Sample:
        """Run it once."""
        return Sample(self._ask("run"))

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()


def serve_eager(kind: str, size: tuple[int, int], cpu: int) -> None:
    """Be the process behind EagerWorker: a line in, nanoseconds out."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {cpu})
    import torch

    from edge_pipeline.compiler.reference import synthetic_capture
    from edge_pipeline.models.base import build_model

    torch.set_num_threads(1)
    model: Any = None
    x = torch.from_numpy(synthetic_capture(4, *size))
    for order in sys.stdin:
        start = perf_counter_ns()
        if order.strip() == "run":
            with torch.inference_mode():
                model(x)
        elif kind == "peak":
            model = torch.nn.Conv2d(64, 64, 3, padding=1)
            x = torch.rand(1, 64, *size)
        else:
            model = build_model("hyperconv_unet", NETWORK)
        if order.strip() == "load" and kind in (EAGER_TUNED, "peak"):
            # Only the convolutions: a HyperConv's constant filter has five dimensions.
            for module in model.modules():
                if isinstance(module, torch.nn.Conv2d):
                    module.weight.data = module.weight.contiguous(memory_format=torch.channels_last)
            x = x.contiguous(memory_format=torch.channels_last)
        print(perf_counter_ns() - start, flush=True)


def compiled(folder: Path, size: tuple[int, int]) -> list[tuple[str, Job]]:
    """Compile what `folder` does not hold yet; a name and a job for each form."""
    from edge_pipeline.compiler.compile import CompileRequest, compile_model

    jobs = []
    for backend, form, name in FORMS:
        target = folder / f"{backend}-{form}-{size[0]}x{size[1]}"
        if not target.exists():
            print(f"compiling {target.name}", file=sys.stderr)
            request = CompileRequest(
                source="hyperconv_unet",
                output=target,
                backend=backend,
                options=NETWORK,
                filters=form,
                size=size,
            )
            compile_model(request)
        program = "apply_filters" if form == "split" else "forward"
        jobs.append((name, Job(Artifact.open(target), program)))
    return jobs


def run(folder: Path, size: tuple[int, int], plan: Plan) -> tuple[list[str], dict[str, float]]:
    """The report's lines, and each form's share of default eager's median."""
    jobs = compiled(folder, size)
    allowed = allowed_cpus()
    cpu = choose_cpus(busy_percent(allowed), cores_of(allowed), 1)[0]
    workers: list[EagerWorker | ProcessWorker] = []
    try:
        names = [EAGER, EAGER_TUNED, "peak", *(name for name, _ in jobs)]
        for kind in names[:3]:
            workers.append(EagerWorker(kind, size, cpu))  # noqa: PERF401 - closed if one fails
        for _, job in jobs:
            workers.append(ProcessWorker(job, threads=1, cpus=[cpu]))
        timings = measure(workers, plan)
    finally:
        for worker in workers:
            worker.close()
    latencies = {n: summarise(t.samples_ms) for n, t in zip(names, timings, strict=True)}
    macs = {name: job.artifact.program(job.program).macs for name, job in jobs}
    macs |= dict.fromkeys((EAGER, EAGER_TUNED), macs["ONNX Runtime, dynamic"])
    peak = 2 * 64 * 64 * 9 * size[0] * size[1] / latencies.pop("peak").min_ms / 1e6
    lines = [
        f"{cpu_name()}, 1 thread on processor {cpu}, 4x{size[0]}x{size[1]}, {plan.runs} rounds; "
        f"peak {peak:.0f} GFLOP/s (torch, 64 -> 64 3x3 convolution, its fastest run)",
        "",
        "| form | median ms | p10 to p90 | min | of default eager | goal | GFLOP | floor ms |",
        "|---|---|---|---|---|---|---|---|",
    ]
    shares = {}
    for name, latency in latencies.items():
        shares[name] = latency.median_ms / latencies[EAGER].median_ms
        low = _p10(timings[names.index(name)].samples_ms)
        goal = f"{GOALS[name]:.2f}" if name in GOALS else ""
        gflop = 2 * macs[name] / 1e9
        lines.append(
            f"| {name} | {latency.median_ms:.1f} | {low:.1f} to {latency.p90_ms:.1f} | "
            f"{latency.min_ms:.1f} | {shares[name]:.2f} | {goal} | {gflop:.2f} | "
            f"{1e3 * gflop / peak:.1f} |"
        )
    return lines, shares


def _p10(samples: Sequence[float]) -> float:
    return sorted(samples)[len(samples) // 10]


def main() -> int:
    """Parse the command line and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", default="256x256")
    parser.add_argument("--runs", type=int, default=40)
    parser.add_argument("--keep", type=Path, help="folder of artifacts to use again")
    parser.add_argument("--check", action="store_true", help="fail if a goal is missed")
    parser.add_argument("--eager", help=argparse.SUPPRESS)
    parser.add_argument("--cpu", type=int, default=0, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    height, width = parse_size(arguments.size, "HxW")
    if arguments.eager:
        serve_eager(arguments.eager, (height, width), arguments.cpu)
        return 0
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.keep or Path(temporary)
        lines, shares = run(folder, (height, width), Plan(runs=arguments.runs))
    print("\n".join(lines))
    missed = [name for name, goal in GOALS.items() if shares[name] > goal]
    if missed:
        print(f"\nmissed: {', '.join(missed)}")
    return int(bool(missed) and arguments.check)


if __name__ == "__main__":
    sys.exit(main())
