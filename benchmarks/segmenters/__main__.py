"""One network for every phi, compared with networks that were trained for one phi each.

    python -m benchmarks.segmenters train RECIPE --runs FOLDER [--steps N] [--threads 1]
                                          [--only NAME]
    python -m benchmarks.segmenters evaluate RECIPE --runs FOLDER [--split test]
    python -m benchmarks.segmenters table RECIPE --runs FOLDER [--plot FILE.svg]
    python -m benchmarks.segmenters deploy RECIPE --runs FOLDER [--phi 0.25]

Trains one network for every phi and five networks for one phi, three seeds each, evaluates those
that are finished on the test split, and prints the tables of docs/segmenters.md. A command that was
interrupted continues where it stopped. `deploy` compiles the network of seed 0 for every runtime,
at a phi and at 0.5, and measures the artifacts in rounds on one pinned thread.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from benchmarks.segmenters.deployed import deploy, deployed_table
from benchmarks.segmenters.results import evaluate_run, markdown, plot, points_of
from benchmarks.segmenters.runs import FIXED, Run, is_trained, runs_of, train_run

__all__ = ["main"]


def main() -> int:
    """Parse the command line and run the requested part; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.segmenters",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("part", choices=["train", "evaluate", "table", "deploy"])
    parser.add_argument("recipe", help="name or path of the recipe of the network for every phi")
    parser.add_argument("--runs", type=Path, required=True, help="folder of the trainings")
    parser.add_argument("--split", choices=["test", "val"], default="test")
    parser.add_argument("--steps", type=int, help="steps of each training; else the recipe's")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", default="", help="beginning of the names of the runs to train")
    parser.add_argument("--plot", type=Path, help="file of the plot")
    parser.add_argument("--phi", type=float, default=0.25, help="phi to deploy beside 0.5")
    arguments = parser.parse_args()
    planned = runs_of(arguments.recipe, arguments.steps)
    runs = [run for run in planned if run.name.startswith(arguments.only)]
    if arguments.part == "train":
        for run in runs:
            record = train_run(run, arguments.runs, threads=arguments.threads)
            print(f"{run.name}: {record['cpu_s']:.0f} s", flush=True)
        return 0
    if arguments.part == "deploy":
        first = arguments.runs / runs[0].name
        checkpoint, folder = first / "run" / "checkpoint.safetensors", first / "deployed"
        dataset = runs[0].recipe.settings["dataset"]
        rows = deploy(checkpoint, dataset, (arguments.phi, 0.5), folder)
        print("\n".join(deployed_table(rows)))
        return 0
    finished = [run for run in runs if is_trained(run, arguments.runs)]
    if arguments.part == "evaluate":
        for run in finished:
            found = evaluate_run(run, arguments.runs, arguments.split)
            best = max(found.values(), key=lambda values: values["dice"])
            print(f"{run.name}: best Dice score {best['dice']:.4f}", flush=True)
        return 0
    _print_table(finished, arguments.runs, arguments.plot)
    return 0


def _print_table(finished: list[Run], folder: Path, picture: Path | None) -> None:
    seconds: dict[str, list[float]] = {"every phi": []}
    seconds |= {f"phi {phi:g}": [] for phi in FIXED}
    for run in finished:
        name = "every phi" if run.phi is None else f"phi {run.phi:g}"
        seconds[name].append(json.loads((folder / run.name / "training.json").read_text())["cpu_s"])
    points = points_of(finished, folder)
    print(markdown(points, seconds))
    if picture is not None:
        plot(points, picture, "Mean and standard deviation over the seeds")


if __name__ == "__main__":
    sys.exit(main())
