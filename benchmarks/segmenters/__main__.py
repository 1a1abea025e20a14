"""One network for every phi, compared with networks that were trained for one phi each.

    python -m benchmarks.segmenters train RECIPE --runs FOLDER [--threads 1] [--only NAME]

Trains one network for every phi and five networks for one phi, three seeds each. A command that
was interrupted continues where it stopped.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from benchmarks.segmenters.runs import runs_of, train_run

__all__ = ["main"]


def main() -> int:
    """Parse the command line and run the requested part; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.segmenters",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("part", choices=["train"])
    parser.add_argument("recipe", help="name or path of the recipe of the network for every phi")
    parser.add_argument("--runs", type=Path, required=True, help="folder of the trainings")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", default="", help="beginning of the names of the runs to train")
    arguments = parser.parse_args()
    for run in runs_of(arguments.recipe):
        if run.name.startswith(arguments.only):
            record = train_run(run, arguments.runs, threads=arguments.threads)
            print(f"{run.name}: {record['cpu_s']:.0f} s", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
