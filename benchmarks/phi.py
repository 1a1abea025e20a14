"""Latency of a network specialised for phi, compared with the same UNet with ordinary weights.

    python -m benchmarks.phi [--phi 0.35] [--runs 60] [--keep FOLDER] [--check]

The network is phi_unet_pets at 192x256, on every runtime, on one pinned thread, in rounds. Both
networks have the same operators, so the table shows whether specialising leaves any overhead. With
--check the script fails if a specialised network takes more than 3 % longer.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from benchmarks.interleaved import RUNTIMES, Case, Eager, compiled, run_all
from edge_pipeline.harness.protocol import Plan

MODEL = "phi_unet_pets"
SIZE = (192, 256)
MOST = 1.03


def main() -> int:
    """Parse the command line, measure, and print the table; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--phi", type=float, default=0.35)
    parser.add_argument("--runs", type=int, default=60)
    parser.add_argument("--keep", type=Path, help="folder of artifacts to reuse")
    parser.add_argument("--check", action="store_true", help="fail if a goal is missed")
    arguments = parser.parse_args()
    fixed = {"phi": arguments.phi}
    cases = [
        Case(f"{runtime}, {name}", backend, MODEL, options, {"fixed": fixed})
        for backend, runtime in RUNTIMES.items()
        for name, options in (("specialised", {}), ("ordinary", {"hyper": False}))
    ]
    eagers = [
        Eager(f"eager{how}", MODEL, {"hyper": False}, tuned=tuned, fixed=fixed)
        for how, tuned in (("", False), (", channels-last, huge pages", True))
    ]
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.keep or Path(temporary)
        compiled(folder, cases, SIZE)
        figures, peak, where = run_all(
            folder, cases, eagers, SIZE, Plan(runs=arguments.runs, seconds=0)
        )
    print(f"{where}, phi {arguments.phi:g}\n")
    print("| form | median ms | p10 to p90 | min | of ordinary | floor ms |")
    print("|---|---|---|---|---|---|")
    worst = 0.0
    for name, row in figures.items():
        runtime, _, form = name.partition(", ")
        ratio = ""
        if form == "specialised":
            share = row.median / figures[f"{runtime}, ordinary"].median
            worst, ratio = max(worst, share), f"{share:.3f}"
        floor = f"{2 * row.macs / peak / 1e6:.1f}" if row.macs else ""
        print(f"| {name} | {row.cells()} | {ratio} | {floor} |")
    return int(worst > MOST and arguments.check)


if __name__ == "__main__":
    sys.exit(main())
