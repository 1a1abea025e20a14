"""CPU time of developing a large capture, against other programs, and where the time goes.

    python -m benchmarks.develop_speed [--size 4000x6000] [--rounds 3] [--threads 2]

Prints two tables of docs/speed.md. The first has CPU seconds (user and system, all threads and
child processes), wall time and the peak memory of the largest process: `develop` at full and at
half size, LibRaw's AHD by rawpy, and RawTherapee and darktable if they are installed. All develop
the same DNG, which is made from the bundled capture, to a JPEG, one after another in each round.
The second has the network's operators, the time of each by ONNX Runtime's profiler, and the share
of this machine's peak that they reach. The peak is the best of a large matrix product and a
64 -> 64 convolution in torch.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.isp.operators import operator_times, peak_flops
from edge_pipeline.artifact.store import Artifact
from edge_pipeline.cli.options import parse_size
from edge_pipeline.files import packaged
from edge_pipeline.harness.machine import cpu_name
from edge_pipeline.isp.develop import DEFAULT_MODEL
from edge_pipeline.isp.memory import LARGEST_WINDOW
from edge_pipeline.isp.tiles import flexible_spans
from edge_pipeline.raw.capture import read_capture
from edge_pipeline.record import COST_FILE
from tests.fakes.dng import Dng, write_dng

CHART = "captures/colorchart.dng"


class Cost(NamedTuple):
    """Resources of one process and its children.

    Attributes:
        cpu_s: User and system time, in seconds.
        wall_s: Elapsed time, in seconds.
        peak_gb: Largest resident memory of the process or of a child.
    """

    cpu_s: float
    wall_s: float
    peak_gb: float


def cost_of(command: Sequence[str]) -> Cost:
    """Run a command and return its cost.

    Raises:
        RuntimeError: If the command fails.
    """
    with tempfile.TemporaryFile() as said:
        start = os.times()
        identity = os.posix_spawn(
            command[0],
            command,
            os.environ,
            file_actions=[
                (os.POSIX_SPAWN_DUP2, said.fileno(), 1),
                (os.POSIX_SPAWN_DUP2, said.fileno(), 2),
            ],
        )
        _, status, usage = os.wait4(identity, 0)
        wall = os.times().elapsed - start.elapsed
        if status:
            said.seek(0)
            raise RuntimeError(
                f"{command[0]} failed: {said.read()[-300:].decode(errors='replace')}"
            )
    return Cost(usage.ru_utime + usage.ru_stime, wall, usage.ru_maxrss / 1e6)


def large_capture(path: Path, size: tuple[int, int]) -> None:
    """Write a DNG of a size that repeats the bundled capture, reflected."""
    small = read_capture(packaged("calibration") / CHART)
    rows, columns = (
        np.concatenate([np.arange(n), np.arange(n - 2, 0, -1)]) for n in small.mosaic.shape
    )
    mosaic = small.mosaic[np.ix_(np.resize(rows, size[0]), np.resize(columns, size[1]))].astype(
        np.uint16
    )
    write_dng(
        path,
        mosaic,
        Dng(
            filters=small.pattern,
            black=tuple(round(level) for level in small.black),
            white=(round(small.white),),
        ),
    )


def commands(capture: Path, folder: Path, threads: int) -> dict[str, list[str]]:
    """Return the command of each program that is installed, by its name in the table."""
    ours = [sys.executable, "-m", "edge_pipeline", "develop", str(capture), "--force"]
    ours += ["--threads", str(threads)]
    libraw = (
        "import rawpy, sys; from PIL import Image; "
        "Image.fromarray(rawpy.imread(sys.argv[1]).postprocess("
        "demosaic_algorithm=rawpy.DemosaicAlgorithm.AHD, use_camera_wb=True))"
        ".save(sys.argv[2], quality=95, subsampling=0)"
    )
    found = {
        "develop": [*ours, "-o", str(folder / "full.jpg")],
        "develop --size half": [*ours, "--size", "half", "-o", str(folder / "half.jpg")],
        "LibRaw AHD (rawpy)": [sys.executable, "-c", libraw, str(capture), str(folder / "l.jpg")],
    }
    if program := shutil.which("rawtherapee-cli"):
        found["RawTherapee"] = [program, "-o", str(folder / "r.jpg"), "-Y", "-c", str(capture)]
    if program := shutil.which("darktable-cli"):
        # A library of its own, so that no picture is taken from a cache.
        found["darktable"] = [
            program,
            str(capture),
            str(folder / "d.jpg"),
            "--core",
            "--configdir",
            str(folder / "darktable"),
            "--library",
            ":memory:",
        ]
    return found


def program_table(capture: Path, folder: Path, rounds: int, threads: int) -> str:
    """Measure all programs in turns and return the first table."""
    programs = commands(capture, folder, threads)
    costs: dict[str, list[Cost]] = {name: [] for name in programs}
    for number in range(rounds):
        for name, command in programs.items():
            (folder / "d.jpg").unlink(missing_ok=True)  # darktable would choose another name
            costs[name].append(cost_of(command))
            print(f"round {number + 1}: {name}, {costs[name][-1]}", file=sys.stderr)
    lines = ["| program | CPU s | lowest to highest | wall s | peak GB |", "|---|---|---|---|---|"]
    for name, each in costs.items():
        cpu = [cost.cpu_s for cost in each]
        wall = statistics.median(cost.wall_s for cost in each)
        peak = max(cost.peak_gb for cost in each)
        lines.append(
            f"| {name} | {statistics.median(cpu):.1f} | {min(cpu):.1f} to {max(cpu):.1f} "
            f"| {wall:.1f} | {peak:.2f} |"
        )
    return "\n".join(lines)


def halo_factor(size: tuple[int, int], artifact: Artifact) -> float:
    """Return the packed pixels of all windows of a capture, for each packed pixel of it."""
    tile = artifact.manifest.tile
    factor = 1.0
    for side in size:
        packed = -(-(side // 2) // tile.stride) * tile.stride
        spans = flexible_spans(
            packed, stride=tile.stride, halo=tile.halo or 0, largest=LARGEST_WINDOW
        )
        factor *= sum(span.stop - span.start for span in spans) / packed
    return factor


def multiplications(artifact: Artifact, window: int) -> tuple[float, float]:
    """Return the multiply-accumulates of the path: for each packed pixel, and in a window.

    A trimmed program leaves out its last stage at the edges of a window. The counts at the
    reference input, of the whole network and of the trimmed program, tell the cost of that stage.
    """
    spec, margin = artifact.manifest.programs[-1], artifact.manifest.tile.margin
    cost = json.loads((artifact.folder / COST_FILE).read_bytes())
    height, width = cost["input"][-2:]
    whole = cost["path"]["macs"]
    left_out = height * width - (height - 2 * margin) * (width - 2 * margin)
    last = (whole - spec.macs) / left_out if left_out else 0.0
    each = whole / (height * width)
    return each, each * window**2 - last * (window**2 - (window - 2 * margin) ** 2)


def operator_table(size: tuple[int, int]) -> str:
    """Return the second table: the operators of the network's path, and their share of the peak."""
    artifact = Artifact.open(packaged("calibration") / DEFAULT_MODEL)
    spec = artifact.manifest.programs[-1]
    window = LARGEST_WINDOW
    times = operator_times(artifact.path(spec.file), window)
    peak = peak_flops()
    total = sum(one.seconds for one in times)
    everywhere, in_window = multiplications(artifact, window)
    lines = [
        "| operator | output | GMAC | ms | share of time | share of peak |",
        "|---|---|---|---|---|---|",
    ]
    for one in times:
        share = f"{2 * one.macs / one.seconds / peak:.0%}" if one.macs else ""
        count_told = f"{one.macs / 1e9:.3f}" if one.macs else ""
        lines.append(
            f"| {one.name} | {one.output} | {count_told} | {1e3 * one.seconds:.2f} "
            f"| {one.seconds / total:.1%} | {share} |"
        )
    whole = 2 * in_window / total / peak  # without multiplications by zero that fill a block
    halos = halo_factor(size, artifact)
    useful = 2 * everywhere * window**2 / halos / total / peak
    lines += [
        "",
        f"{cpu_name()}, 1 thread, window of {window} x {window} packed pixels; peak "
        f"{peak / 1e9:.0f} GFLOP/s. All operators take {1e3 * total:.1f} ms and reach {whole:.0%} "
        f"of the peak, or {useful:.0%} if halos do not count: the windows have {halos:.2f} "
        "times the area of the capture.",
    ]
    return "\n".join(lines)


def main() -> None:
    """Measure, and print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=parse_size, default=(4000, 6000), help="height x width")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        capture = folder / "capture.dng"
        large_capture(capture, asked.size)
        print(program_table(capture, folder, asked.rounds, asked.threads), flush=True)
    print()
    print(operator_table(asked.size))


if __name__ == "__main__":
    main()
