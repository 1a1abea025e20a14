"""Time and memory of `develop` by the number of pixels.

    python -m benchmarks.megapixels [--pixels 1 3 6 12 24 50 100] [--formats jpg tiff]

Captures are made from the project's colour chart, repeated by reflection. Prints the table of
"Develop by size" in docs/speed.md: seconds, CPU seconds with those of the reader's process, the
largest memory of the program (resident, with pages of its files), that of the reader's process, and
the sum of both at one time; then the exponent of the growth of CPU time, from 6 million pixels on.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path
from subprocess import DEVNULL
from time import perf_counter, sleep
from typing import NamedTuple

import numpy as np
import psutil

from edge_pipeline.files import packaged
from edge_pipeline.raw.capture import Capture, read_capture
from tests.fakes.dng import Dng, write_dng

_CHART = "captures/colorchart.dng"
_ASPECT = 1.5
_TICK_S = 0.02
_FIXED_PIXELS = 6  # millions; below, starting the program dominates
_MEGA = 1e6


class Measured(NamedTuple):
    """One development: seconds, and megabytes."""

    seconds: float
    cpu_seconds: float
    program_mb: float
    reader_mb: float
    both_mb: float


def write_capture(path: Path, chart: Capture, megapixels: float) -> tuple[int, int]:
    """Write a DNG of about this size; return its width and height."""
    width = round((megapixels * _MEGA * _ASPECT) ** 0.5 / 2) * 2
    height = round(width / _ASPECT / 2) * 2
    rows, columns = (
        np.pad(np.arange(have), (0, max(0, want - have)), mode="reflect")[:want]
        for have, want in zip(chart.mosaic.shape, (height, width), strict=True)
    )
    red, green, blue = (1 / gain for gain in chart.wb)
    dng = Dng(
        filters=chart.pattern,
        black=(round(max(chart.black)),) * 4,
        white=(round(chart.white),),
        neutral=(red, green, blue),
    )
    write_dng(path, chart.mosaic[np.ix_(rows, columns)], dng)
    return width, height


def measure(capture: Path, picture: Path) -> Measured:
    """Develop a capture in a process and watch its memory."""
    command = [sys.executable, "-m", "edge_pipeline", "develop", str(capture), "-o", str(picture)]
    begun = perf_counter()
    process = psutil.Popen([*command, "--force"], stdout=DEVNULL)
    program = reader = both = 0
    while process.poll() is None:
        try:
            own = process.memory_info().rss
            children = [child.memory_info().rss for child in process.children(recursive=True)]
        except psutil.NoSuchProcess:
            continue
        program, reader = max(program, own), max([reader, *children])
        both = max(both, own + sum(children))
        sleep(_TICK_S)
    if process.returncode:
        raise SystemExit(f"develop failed with exit code {process.returncode}")
    return Measured(perf_counter() - begun, 0.0, program / _MEGA, reader / _MEGA, both / _MEGA)


def _with_cpu_time(capture: Path, picture: Path) -> Measured:
    before = os.times()
    measured = measure(capture, picture)
    after = os.times()
    used = after.children_user + after.children_system
    return measured._replace(cpu_seconds=used - before.children_user - before.children_system)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--pixels", type=float, nargs="+", default=[1, 3, 6, 12, 24, 50, 100])
    parser.add_argument("--formats", nargs="+", default=["jpg"])
    arguments = parser.parse_args()
    chart = read_capture(packaged("calibration") / _CHART)
    print("| picture | s | CPU s | program MB | reader MB | both MB |")
    print("|---|---|---|---|---|---|")
    for suffix in arguments.formats:
        points = []
        for megapixels in arguments.pixels:
            with tempfile.TemporaryDirectory(prefix="edge-pipeline-") as name:
                capture = Path(name) / "a.dng"
                width, height = write_capture(capture, chart, megapixels)
                m = _with_cpu_time(capture, Path(name) / f"a.{suffix}")
            points.append((width * height, m.cpu_seconds))
            size = f"{suffix}, {width} x {height}"
            print(
                f"| {size} | {m.seconds:.1f} | {m.cpu_seconds:.1f} | {m.program_mb:.0f} | "
                f"{m.reader_mb:.0f} | {m.both_mb:.0f} |",
                flush=True,
            )
        large = np.log([point for point in points if point[0] >= 0.9 * _FIXED_PIXELS * _MEGA])
        if len(large) > 1:
            exponent = np.polyfit(large[:, 0], large[:, 1], 1)[0]
            print(f"\n{suffix}: CPU time grows with the power {exponent:.2f} of pixels.\n")


if __name__ == "__main__":
    main()
