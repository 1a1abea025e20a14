"""Latency of a folded program whose constants a capture's filters replaced in memory.

    python -m benchmarks.in_memory [--size 256x256] [--tiles 20] [--captures 6] [--keep FOLDER]
                                   [--check]

Prints the table that docs/speed.md shows: for each network and runtime, what a tile takes with the
constants of the file and with the filters of a capture written over them in memory, and what is
done once a capture: predicting on one window, and writing filters and loading the program. The
first tile after loading counts like the others. Both
programs run in one process on one pinned thread, tile by tile in turns, so that drift falls on both
alike. The program of the file is the folded one: `--filters folded` writes the same bytes (a test
holds that). With --check it fails if a goal is missed.
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
# What all tiles of a capture may take of the folded program's, the loading included.
MOST = 1.05


@dataclass
class Times:
    """Milliseconds of one network on one runtime; of each capture, or of each of its tiles."""

    predicting: list[float] = field(default_factory=list)
    loading: list[float] = field(default_factory=list)
    folded: list[list[float]] = field(default_factory=list)
    refolded: list[list[float]] = field(default_factory=list)

    def ratios(self, *, loading: bool) -> list[float]:
        """For each capture, the time of its tiles with its own filters over that with the file's.

        Args:
            loading: whether writing the filters and loading the program counts.
        """
        spent = self.loading if loading else [0.0] * len(self.loading)
        return [
            (sum(own) + extra) / sum(files)
            for own, files, extra in zip(self.refolded, self.folded, spent, strict=True)
        ]


def timed(function: Callable[[], Result]) -> tuple[Result, float]:
    """What a function gives, and the milliseconds that it took."""
    start = perf_counter_ns()
    result = function()
    return result, (perf_counter_ns() - start) / 1e6


class Subject:
    """One refolded artifact: its predictor and its folded program, open."""

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
        """One tile with both programs, which begin in turns."""
        order = [self._folded, session]
        if index % 2:
            order.reverse()
        times = {id(one): timed(lambda one=one: one.run(inputs))[1] for one in order}
        return times[id(self._folded)], times[id(session)]


def spread(values: Sequence[float], digits: int = 1) -> str:
    """The median, and the range from the tenth to the ninetieth percentile."""
    low, high = np.percentile(values, [10, 90])
    return f"{statistics.median(values):.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def row(name: str, times: Times) -> str:
    """A row of the table."""
    tiles = [[ms for capture in side for ms in capture] for side in (times.folded, times.refolded)]
    cells = [spread(side) for side in (*tiles, times.predicting, times.loading)]
    ratios = [spread(times.ratios(loading=loading), 3) for loading in (False, True)]
    return f"| {' | '.join([name, *cells, *ratios])} |"


def main() -> int:
    """Parse the command line and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", default="256x256")
    parser.add_argument("--tiles", type=int, default=20)
    parser.add_argument("--captures", type=int, default=6)
    parser.add_argument("--keep", type=Path, help="folder of artifacts to use again")
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
        "| network, runtime | folded, ms a tile | refolded, ms a tile | predicting, ms a window | "
        "writing and loading, ms a capture | refolded / folded | with the loading |\n"
        "|---|---|---|---|---|---|---|"
    )
    for case, subject in zip(cases, subjects, strict=True):
        print(row(case.name, subject.times))
    missed = [
        case.name
        for case, subject in zip(cases, subjects, strict=True)
        if statistics.median(subject.times.ratios(loading=True)) > MOST
    ]
    print(f"\nover {MOST:.2f} with the loading: {', '.join(missed) or 'none'}")
    return int(bool(missed) and arguments.check)


if __name__ == "__main__":
    sys.exit(main())
