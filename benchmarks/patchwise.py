"""Latency of the patch-wise block, compared with the same block with constant weights.

    python -m benchmarks.patchwise [--size 256x256] [--runs 60] [--keep FOLDER] [--check]

The block is patchwise_block with 8 x 8 patches and both halos, on every runtime, on one pinned
thread, in rounds; decision 6 shows the table. The constant block pads with zeros, so that padding
does not slow down the baseline. With --check the script fails if a block takes more than twice as
long.

Two lower bounds are printed: the time of the counted arithmetic at the peak speed that torch
reaches in the same run, and the time of reading and writing each map once at the speed of a memory
copy.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from time import perf_counter_ns

import numpy as np

from benchmarks.interleaved import RUNTIMES, Case, Eager, compiled, run_all
from edge_pipeline.cli.options import parse_size
from edge_pipeline.harness.protocol import Plan

MODEL = "patchwise_block"
GRID = 8
MOST = 2.0
CONSTANT = "constant weights"
CHANNELS = 32  # in and out


def copy_speed() -> float:
    """Return the gigabytes that are copied per second, in the fastest of nine copies."""
    source = np.ones(1 << 25, np.float32)
    target = np.empty_like(source)
    fastest = float("inf")
    for _ in range(9):
        start = perf_counter_ns()
        np.copyto(target, source)
        fastest = min(fastest, perf_counter_ns() - start)
    return source.nbytes / fastest


def cases_for(patch: int) -> list[Case]:
    """Return the cases: both halos and the constant block on every runtime."""
    forms: dict[str, dict[str, str | int | float | bool]] = {
        "patch-wise": {"patch": patch},
        "patch-wise, halo of each layer": {"patch": patch, "halo": "layer"},
        CONSTANT: {"patch": patch, "hyper": False},
    }
    return [
        Case(f"{runtime}, {name}", backend, MODEL, options)
        for backend, runtime in RUNTIMES.items()
        for name, options in forms.items()
    ]


def main() -> int:
    """Parse the command line, measure, and print the table; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", default="256x256")
    parser.add_argument("--runs", type=int, default=60)
    parser.add_argument("--keep", type=Path, help="folder of artifacts to reuse")
    parser.add_argument("--check", action="store_true", help="fail if a goal is missed")
    arguments = parser.parse_args()
    height, width = parse_size(arguments.size, "HxW")
    if height != width or height % GRID:
        parser.error(f"--size {arguments.size} must be square and a multiple of {GRID}")
    cases = cases_for(height // GRID)
    eagers = [
        Eager(f"eager{how}, patch-wise", MODEL, {"patch": height // GRID}, tuned=tuned)
        for how, tuned in (("", False), (" channels-last huge pages", True))
    ]
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.keep or Path(temporary)
        seconds = compiled(folder, cases, (height, width))
        plan = Plan(runs=arguments.runs, seconds=0)
        figures, peak, where = run_all(folder, cases, eagers, (height, width), plan)
    speed = copy_speed()
    moved_ms = 4 * CHANNELS * height * width / speed / 1e6
    print(f"{where}; copying {speed:.1f} GB/s\n")
    print("| block | median ms | p10 to p90 | min | of constant | arithmetic ms | copying ms |")
    print("|---|---|---|---|---|---|---|")
    worst = 0.0
    for name, row in figures.items():
        runtime, _, form = name.partition(", ")
        ratio = floors = ""
        if row.macs:
            floors = f"{2 * row.macs / peak / 1e6:.1f} | {moved_ms:.1f}"
            if form != CONSTANT:
                share = row.median / figures[f"{runtime}, {CONSTANT}"].median
                worst, ratio = max(worst, share), f"{share:.2f}"
        print(f"| {name} | {row.cells()} | {ratio} | {floors or ' | '} |")
    for folder_name, taken in seconds.items():
        print(f"\ncompiled {folder_name} in {taken:.0f} s", end="")
    print()
    return int(worst > MOST and arguments.check)


if __name__ == "__main__":
    sys.exit(main())
