"""Evaluation of the trainings on the test split, and the tables and the plot of the study."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.segmenters.runs import FIXED, Run
from edge_pipeline.data.labelled import load_labelled
from edge_pipeline.data.splits import Split
from edge_pipeline.files import atomic_file
from edge_pipeline.models.checkpoint import load_checkpoint
from edge_pipeline.models.cost import cost_of
from edge_pipeline.train.evaluation import SizedPictures, evaluate
from edge_pipeline.train.recipe import Recipe, settings_of

__all__ = ["Point", "evaluate_run", "markdown", "plot", "points_of"]

_RESULT = "test.json"
_GRID_STEP = 0.02


@dataclass(frozen=True)
class Point:
    """The result of a kind of network at one phi, over all seeds.

    Attributes:
        phi: Rescaling factor.
        macs: Multiply-accumulates of a picture of the recipe's size.
        dice: Mean Dice score on the test split of each seed.
        iou: Mean intersection over union of each seed.
    """

    phi: float
    macs: int
    dice: tuple[float, ...]
    iou: tuple[float, ...]


def grid_of(recipe: Recipe) -> list[float]:
    """Return the values of phi at which the network for every phi is evaluated."""
    low, high = float(recipe.options["phi_min"]), float(recipe.options["phi_max"])
    steps = round((high - low) / _GRID_STEP)
    return [round(low + _GRID_STEP * step, 4) for step in range(steps + 1)]


def evaluate_run(run: Run, folder: Path, split: Split) -> dict[str, dict[str, float]]:
    """Return the metrics of a finished training on a split, by phi; evaluate it if needed.

    Args:
        run: The training.
        folder: Folder of all trainings.
        split: Split of the data set on which nothing was tuned.
    """
    own = folder / run.name
    held: dict[str, dict[str, float]] = {}
    if (own / _RESULT).exists():
        held = json.loads((own / _RESULT).read_text())
    settings = settings_of(run.recipe)
    data = load_labelled(settings.dataset, split, settings.options)
    pictures = SizedPictures(data, settings.resize)
    model = load_checkpoint(own / "run" / "checkpoint.safetensors").build()
    size = (run.recipe.options["height"], run.recipe.options["width"])
    for phi in [run.phi] if run.phi is not None else grid_of(run.recipe):
        if f"{phi:g}" in held:
            continue
        found = evaluate(model, pictures, phi)
        cost = cost_of(model, (1, data.channels, *size), {"phi": phi})
        held[f"{phi:g}"] = {"dice": found.dice, "iou": found.iou, "macs": cost.path.macs}
        with atomic_file(own / _RESULT) as temporary:
            Path(temporary).write_text(json.dumps(held, indent=1))
    return held


def points_of(runs: Iterable[Run], folder: Path) -> dict[str, list[Point]]:
    """Return the results of all evaluated trainings: `every` and `fixed`, each by rising phi."""
    found: dict[str, dict[float, list[dict[str, float]]]] = {
        "every": defaultdict(list),
        "fixed": defaultdict(list),
    }
    for run in runs:
        path = folder / run.name / _RESULT
        if path.exists():
            kind = found["every" if run.phi is None else "fixed"]
            for phi, values in json.loads(path.read_text()).items():
                kind[float(phi)].append(values)
    return {
        name: [
            Point(
                phi,
                int(values[0]["macs"]),
                tuple(value["dice"] for value in values),
                tuple(value["iou"] for value in values),
            )
            for phi, values in sorted(kind.items())
        ]
        for name, kind in found.items()
    }


def markdown(points: Mapping[str, list[Point]], seconds: Mapping[str, list[float]]) -> str:
    """Return the table of the study, and the training times.

    Args:
        points: Results from `points_of`.
        seconds: Processor seconds of the trainings by kind, `every` and one for each fixed phi.
    """
    every = {point.phi: point for point in points["every"]}
    fixed = {point.phi: point for point in points["fixed"]}
    shown = sorted(set(fixed) | {phi for phi in every if round(phi * 100) % 10 in (0, 5)})
    lines = [
        "| phi | MMAC | Dice, one network for every phi | Dice, network for this phi |",
        "|---|---|---|---|",
    ]
    for phi in shown:
        macs = (every.get(phi) or fixed[phi]).macs
        cells = [_cell(kind.get(phi)) for kind in (every, fixed)]
        lines.append(f"| {phi:.2f} | {macs / 1e6:.0f} | {cells[0]} | {cells[1]} |")
    lines += ["", "| network | training, processor seconds |", "|---|---|"]
    lines += [f"| {name} | {_spread(values, 0)} |" for name, values in seconds.items() if values]
    total = sum(float(np.mean(v)) for name, v in seconds.items() if name != "every phi" and v)
    return "\n".join([*lines, f"| all {len(FIXED)} for one phi | {total:.0f} |"])


def _cell(point: Point | None) -> str:
    return "" if point is None else _spread(point.dice, 4)


def _spread(values: Iterable[float], digits: int) -> str:
    """Return the mean and the standard deviation over seeds."""
    held = np.array(list(values))
    deviation = f" ± {held.std(ddof=1):.{digits}f}" if len(held) > 1 else ""
    return f"{held.mean():.{digits}f}{deviation}"


def plot(points: Mapping[str, list[Point]], path: Path, title: str) -> None:
    """Draw the Dice score against phi and against the cost, with the spread over seeds."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(9, 3.6), sharey=True, layout="constrained")
    names = {"every": "one network for every phi", "fixed": "one network for each phi"}
    for kind, label in names.items():
        held = points[kind]
        mean = np.array([np.mean(point.dice) for point in held])
        deviation = np.array([np.std(point.dice) for point in held])
        for axis, x in zip(
            axes, ([p.phi for p in held], [p.macs / 1e6 for p in held]), strict=True
        ):
            if kind == "every":
                (line,) = axis.plot(x, mean, label=label)
                axis.fill_between(
                    x, mean - deviation, mean + deviation, color=line.get_color(), alpha=0.2
                )
            else:
                axis.errorbar(x, mean, deviation, fmt="o", capsize=3, label=label)
    axes[0].set(xlabel="phi", ylabel="mean Dice score on the test split")
    axes[1].set(xlabel="cost of a picture, MMAC")
    axes[0].legend()
    figure.suptitle(title)
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
