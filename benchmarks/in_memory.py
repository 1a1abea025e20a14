"""Latency of a folded program after a capture's filters replaced its constants in memory.

    python -m benchmarks.in_memory [--size 256x256] [--tiles 20] [--captures 6] [--keep FOLDER]
                                   [--check]

Prints a table of docs/speed.md. For each network and runtime, it contains the time of a tile with
the constants of the file, and with the filters of a capture written over them in memory. It also
contains the times of the steps per capture: predicting filters from one window, and writing the
filters and loading the program. The first tile after loading counts like the others. Both programs
run in one process on one pinned thread and take turns at every tile, so that drift affects both
equally. The program of the file is identical to that of `--filters folded` (a test checks this).
With --check the script fails if a goal is missed.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter_ns
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from benchmarks.interleaved import RUNTIMES, Case, compiled
from edge_pipeline.artifact.store import Artifact
from edge_pipeline.cli.options import parse_size
from edge_pipeline.harness.machine import (
    allowed_cpus,
    busy_percent,
    choose_cpus,
    cores_of,
    cpu_name,
)
from edge_pipeline.runtime.base import Session, open_session

Arrays = dict[str, NDArray[np.float32]]
Result = TypeVar("Result")

NETWORKS: dict[str, dict[str, str | int | float | bool]] = {
    "hyperconv_isp": {},
    "hyperconv_unet": {"n_fwd": 16, "n_embed": 16, "n_hid": 64},
}
# Largest ratio of the time of a capture's tiles, including loading, to the folded program's.
MOST = 1.05


@dataclass
class Times:
    """Times of one network on one runtime, in ms: one per capture, or lists of one per tile."""

    predicting: list[float] = field(default_factory=list)
    loading: list[float] = field(default_factory=list)
    folded: list[list[float]] = field(default_factory=list)
    refolded: list[list[float]] = field(default_factory=list)

    def ratios(self, *, loading: bool) -> list[float]:
        """Return, per capture, the time of its tiles with its filters over that with the file's.

        Args:
            loading: Whether to include the time of writing the filters and loading the program.
        """
        spent = self.loading if loading else [0.0] * len(self.loading)
        return [
            (sum(own) + extra) / sum(files)
            for own, files, extra in zip(self.refolded, self.folded, spent, strict=True)
        ]


def timed(function: Callable[[], Result]) -> tuple[Result, float]:
    """Call a function, and return its result and its time in milliseconds."""
    start = perf_counter_ns()
    result = function()
    return result, (perf_counter_ns() - start) / 1e6


class Subject:
    """A refolded artifact with open sessions of its predictor and its folded program."""

    def __init__(self, artifact: Artifact) -> None:
        self.times = Times()
        self._artifact = artifact
        self._predictor = open_session(artifact, "predict_filters", threads=1)
        self._folded = open_session(artifact, "forward", threads=1)
        self._seen, _ = artifact.reference("predict_filters")
        self._taken, _ = artifact.reference("forward")
        self._folded.run(self._taken)

    def capture(self, number: int, tiles: int) -> None:
        """Predict the filters of one capture, load the program with them, and run its tiles."""
        rng = np.random.default_rng(number)
        seen, *taken = (
            {name: rng.random(value.shape, dtype=np.float32) for name, value in example.items()}
            for example in (self._seen, *[self._taken] * tiles)
        )
        filters, predicting = timed(lambda: self._predictor.run(seen))
        session, loading = timed(lambda: self._loaded(filters))
        with session:
            pairs = [self._tile(session, inputs, index) for index, inputs in enumerate(taken)]
        self.times.predicting.append(predicting)
        self.times.loading.append(loading)
        self.times.folded.append([files for files, _ in pairs])
        self.times.refolded.append([own for _, own in pairs])

    def _loaded(self, filters: Arrays) -> Session:
        return open_session(self._artifact, "forward", threads=1, constants=filters)

    def _tile(self, session: Session, inputs: Arrays, index: int) -> tuple[float, float]:
        """Run one tile with both programs, in alternating order, and return both times."""
        order = [self._folded, session]
        if index % 2:
            order.reverse()
        times = {id(one): timed(lambda one=one: one.run(inputs))[1] for one in order}
        return times[id(self._folded)], times[id(session)]


def spread(values: Sequence[float], digits: int = 1) -> str:
    """Return the median, and the range from the tenth to the ninetieth percentile, as text."""
    low, high = np.percentile(values, [10, 90])
    return f"{statistics.median(values):.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def row(name: str, times: Times) -> str:
    """Return a row of the table."""
    tiles = [[ms for capture in side for ms in capture] for side in (times.folded, times.refolded)]
    cells = [spread(side) for side in (*tiles, times.predicting, times.loading)]
    ratios = [spread(times.ratios(loading=loading), 3) for loading in (False, True)]
    return f"| {' | '.join([name, *cells, *ratios])} |"


def main() -> int:
    """Parse the command line, measure, and print the table; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", default="256x256")
    parser.add_argument("--tiles", type=int, default=20)
    parser.add_argument("--captures", type=int, default=6)
    parser.add_argument("--keep", type=Path, help="folder of artifacts to reuse")
    parser.add_argument("--check", action="store_true", help="fail if a goal is missed")
    arguments = parser.parse_args()
    height, width = parse_size(arguments.size, "HxW")
    cases = [
        Case(f"{model}, {runtime}", backend, model, options, {"filters": "refolded"})
        for model, options in NETWORKS.items()
        for backend, runtime in RUNTIMES.items()
    ]
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.keep or Path(temporary)
        compiled(folder, cases, (height, width))
        allowed = allowed_cpus()
        cpu = choose_cpus(busy_percent(allowed), cores_of(allowed), 1)[0]
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, {cpu})
        subjects = [Subject(Artifact.open(folder / c.folder((height, width)))) for c in cases]
        for number in range(arguments.captures):
            for subject in subjects:
                subject.capture(number, arguments.tiles)
    print(
        f"{cpu_name()}, 1 thread on processor {cpu}, {height}x{width}, {arguments.captures} "
        f"captures of {arguments.tiles} tiles\n\n"
        "| network, runtime | folded, ms per tile | refolded, ms per tile | "
        "predicting, ms per window | writing and loading, ms per capture | refolded / folded | "
        "including loading |\n"
        "|---|---|---|---|---|---|---|"
    )
    for case, subject in zip(cases, subjects, strict=True):
        print(row(case.name, subject.times))
    missed = [
        case.name
        for case, subject in zip(cases, subjects, strict=True)
        if statistics.median(subject.times.ratios(loading=True)) > MOST
    ]
    print(f"\nabove {MOST:.2f} including loading: {', '.join(missed) or 'none'}")
    return int(bool(missed) and arguments.check)


if __name__ == "__main__":
    sys.exit(main())
