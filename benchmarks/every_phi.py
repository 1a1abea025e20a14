"""Size and time of one artifact for every phi, beside one artifact a phi.

    python -m benchmarks.every_phi [--set NAME=VALUE ...] [--size 192x256] [--phis 0.2,0.35,0.5]
                                   [--keep FOLDER]

Prints the table of docs/how-to/respecialise.md: the size of the artifacts in MB, and the CPU time
of the processes that make them, `compile` once with `--respecialisable` and then `respecialise`,
against `compile` for each phi. CPU time, of all threads, depends less on other processes than wall
time does. Both ways write ONNX artifacts of `phi_unet_pets`. The script fails if a copy computes
another output than the artifact that was compiled for its phi.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge_pipeline.artifact.store import Artifact

# Largest difference of two outputs, relative to the largest value.
BOUND = 1e-5


@dataclass(frozen=True)
class Made:
    """An artifact, its size and the CPU time of the process that wrote it."""

    artifact: Artifact
    megabytes: float
    seconds: float


def run(words: Sequence[str], folder: Path) -> Made:
    """Run `edge-pipeline` with `words`, which writes an artifact to `folder`.

    Raises:
        SystemExit: If the command fails.
    """
    before = os.times()
    command = [sys.executable, "-m", "edge_pipeline", *words, "-o", str(folder), "--force"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        sys.exit(done.stderr)
    after = os.times()
    seconds = after.children_user + after.children_system
    seconds -= before.children_user + before.children_system
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return Made(Artifact.open(folder), size / 1e6, seconds)


def difference(one: Artifact, other: Artifact) -> float:
    """Return the largest difference of two artifacts' outputs, relative to the largest value."""
    (mine,), (theirs,) = (found.reference("forward")[1].values() for found in (one, other))
    return float(np.abs(mine - theirs).max() / np.abs(theirs).max())


def main() -> None:
    """Compile, respecialise, compare, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--size", default="192x256")
    parser.add_argument("--phis", default="0.2,0.35,0.5")
    parser.add_argument("--keep", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        measure(given, given.keep or Path(temporary))


def measure(given: argparse.Namespace, folder: Path) -> None:
    """Print the table for the given options, with artifacts in `folder`."""
    phis = given.phis.split(",")
    network = ["compile", "phi_unet_pets", "--backend", "onnx", "--input", given.size]
    network += [word for option in given.set for word in ("-s", option)]
    every = run([*network, "--respecialisable", "--phi", phis[0]], folder / "every")
    plain = [run([*network, "--phi", phi], folder / f"only_{phi}") for phi in phis]
    copies = [
        run(["respecialise", str(folder / "every"), "--phi", phi], folder / f"copy_{phi}")
        for phi in phis
    ]
    for phi, copy, only in zip(phis, copies, plain, strict=True):
        found = difference(copy.artifact, only.artifact)
        if not found <= BOUND:
            sys.exit(f"phi={phi}: the outputs differ by {found:.2g} of the largest value")
    print(f"| `phi_unet_pets` {' '.join(given.set)} {given.size} | MB | CPU seconds |")
    print("|---|---|---|")
    print(
        f"| one artifact for every phi: `compile` | {every.megabytes:.1f} | {every.seconds:.1f} |"
    )
    seconds = sorted(copy.seconds for copy in copies)[len(copies) // 2]
    print(f"| each further phi: `respecialise` | 0 | {seconds:.2f} |")
    size, seconds = (
        sum(values) / len(plain)
        for values in ([p.megabytes for p in plain], [p.seconds for p in plain])
    )
    print(f"| one artifact a phi, each: `compile` | {size:.1f} | {seconds:.1f} |")


if __name__ == "__main__":
    main()
