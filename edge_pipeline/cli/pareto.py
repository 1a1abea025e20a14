"""`edge-pipeline pareto`: evaluate a checkpoint at many values of phi, and write the fronts."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from edge_pipeline.cli.options import complete_backend, parse_settings, parse_size
from edge_pipeline.errors import InputError
from edge_pipeline.harness.protocol import Plan
from edge_pipeline.optional import require
from edge_pipeline.registry import BACKENDS
from edge_pipeline.report.terminal import console
from edge_pipeline.select.choice import Limits, choose, compile_command
from edge_pipeline.select.phi import phi_text
from edge_pipeline.select.tables import answer_lines

if TYPE_CHECKING:
    from edge_pipeline.select.front import Cost
    from edge_pipeline.select.record import Sweep
    from edge_pipeline.sweep.run import SweepRequest
    from edge_pipeline.sweep.strategies import Goal

__all__ = ["command"]


class Strategies(StrEnum):
    """Strategies that choose the evaluated values of phi."""

    GRID = "grid"
    RANDOM = "random"
    TPE = "tpe"


class Splits(StrEnum):
    """Splits of a data set."""

    TRAIN = "train"
    VAL = "val"
    TEST = "test"


class Counted(StrEnum):
    """Costs that are counted without an artifact."""

    MACS = "macs"
    MEMORY = "memory"


class ScoreName(StrEnum):
    """Scores of the fronts."""

    DICE = "dice"
    IOU = "iou"


def command(
    checkpoint: Annotated[
        Path, typer.Argument(metavar="CHECKPOINT", help="Checkpoint of a network with phi.")
    ],
    data: Annotated[
        str,
        typer.Option(
            metavar="NAME|FOLDER",
            help="Labelled data set, or a folder with the subfolders images and masks.",
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder of the records, tables and the page.")
    ],
    *,
    split: Annotated[
        Splits,
        typer.Option(help="Split to evaluate; a folder without splits is evaluated as a whole."),
    ] = Splits.VAL,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", "-s", metavar="KEY=VALUE", help="Option of the data set."),
    ] = None,
    resize: Annotated[
        str | None,
        typer.Option(
            metavar="HxW",
            help="Size that pictures and masks are scaled to, and for which cost is counted. By "
            "default pictures keep their sizes, and cost is for the network's default size.",
        ),
    ] = None,
    phi: Annotated[
        str | None,
        typer.Option(
            metavar="LOW:HIGH:STEP",
            help="Values of phi, or of each factor of a network with separate ones; by default the "
            "network's range by 0.01, or by 0.1 for separate factors.",
        ),
    ] = None,
    strategy: Annotated[
        Strategies,
        typer.Option(
            help="Choice of the evaluated values: all, random ones, or a search by Optuna's TPE "
            "for the least --metric at which --min-dice or --min-iou is reached."
        ),
    ] = Strategies.GRID,
    trials: Annotated[
        int | None, typer.Option(min=1, help="Number of values that random and tpe propose.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of random and tpe.")] = 0,
    min_dice: Annotated[float | None, typer.Option(help="For tpe: lowest mean Dice score.")] = None,
    min_iou: Annotated[float | None, typer.Option(help="For tpe: lowest mIoU.")] = None,
    metric: Annotated[Counted, typer.Option(help="For tpe: cost to minimise.")] = Counted.MACS,
    score: Annotated[
        ScoreName, typer.Option(help="Score of the fronts and of the plots.")
    ] = ScoreName.DICE,
    backend: Annotated[
        str | None,
        typer.Option(
            help="Backend for which values of phi are compiled, to measure size and latency.",
            autocompletion=complete_backend,
        ),
    ] = None,
    measure: Annotated[
        str | None,
        typer.Option(
            metavar="PHI,...",
            help="Values to compile and measure, as in 0.1,0.25, or 0.3-0.4,0.2-0.5 for separate "
            "factors; by default all proposed ones.",
        ),
    ] = None,
    device: Annotated[str, typer.Option(help="Device to measure on.")] = "host",
    threads: Annotated[int, typer.Option(help="Threads of a measured program.")] = 1,
    runs: Annotated[int, typer.Option(help="Least number of timed runs, from 30.")] = 50,
    seconds: Annotated[float, typer.Option(help="Least duration of the timed runs.")] = 5.0,
    warmup: Annotated[int, typer.Option(help="Least number of runs before the timed ones.")] = 10,
) -> None:
    """Evaluate a checkpoint at many values of phi, and write records, Pareto fronts and plots.

    The hypernetwork computes the weights for each phi; nothing is trained. The same command
    continues after an interruption, and adds further values to the records.
    """
    if backend is None and measure is not None:
        raise InputError(f"--measure {measure} requires a backend; give --backend")
    if backend is not None and backend not in BACKENDS:
        BACKENDS.load(backend)  # raises and lists the backends, before torch is required
    require("torch", "train", "evaluating a checkpoint")
    from edge_pipeline.sweep.measuring import Measuring
    from edge_pipeline.sweep.pictures import parse_options
    from edge_pipeline.sweep.run import SweepRequest

    plan = Plan(runs=runs, seconds=seconds, warmup=warmup)
    size = None if resize is None else parse_size(resize, "HxW")
    request = SweepRequest(
        checkpoint=checkpoint,
        data=data,
        output=output,
        split=split.value,
        options=parse_options(parse_settings(settings or [])),
        resize=None if size is None else (size[0], size[1]),
        phi=phi,
        strategy=strategy.value,
        trials=trials,
        seed=seed,
        goal=_goal(min_dice, min_iou, metric.value),
        score=score.value,
        measuring=None if backend is None else Measuring(backend, device, threads, plan),
        measure=measure,
    )
    _run(request)


def _goal(min_dice: float | None, min_iou: float | None, cost: Cost) -> Goal | None:
    """Return the problem of tpe; None if there is no lowest score."""
    from edge_pipeline.sweep.strategies import Goal

    Limits(min_dice=min_dice, min_iou=min_iou)  # checks their range
    if min_dice is not None and min_iou is not None:
        raise InputError("--min-dice and --min-iou are both given; tpe has one lowest score")
    if min_dice is not None:
        return Goal(cost, "dice", min_dice)
    return None if min_iou is None else Goal(cost, "iou", min_iou)


def _run(request: SweepRequest) -> None:
    """Run the sweep with a bar; print its files, and the answer of tpe."""
    from edge_pipeline.sweep.run import Progress as Step
    from edge_pipeline.sweep.run import run_sweep

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("loading", total=None)

        def report(step: Step) -> None:
            done = (step.proposal - 1) * step.pictures + step.picture - 1
            total = step.proposals * step.pictures
            bar.update(task, completed=done, total=total, description=f"phi {phi_text(step.phi)}")

        def measuring(step: str) -> None:
            bar.update(task, total=1, completed=1, description=step)

        folder = run_sweep(request, report, measuring)
        bar.update(task, total=1, completed=1, description=f"{len(folder.sweep.points)} points")
    out = console()
    for path in folder.files:
        out.print(f"wrote {path}", markup=False, highlight=False, soft_wrap=True)
    for warning in folder.warnings if request.measuring else ():
        out.print(f"warning: {warning}", style="yellow", markup=False, soft_wrap=True)
    if request.goal is not None:
        _answer(folder.sweep, request.goal)


def _answer(sweep: Sweep, goal: Goal) -> None:
    """Print the evaluated phi that solves the problem of tpe."""
    limits = Limits(**{f"min_{goal.score}": goal.minimum})
    found = choose(sweep, limits, goal.cost)
    out = console()
    for line in (*answer_lines(found, len(sweep.points)), compile_command(sweep, found, "onnx")):
        out.print(line, markup=False, highlight=False, soft_wrap=True)
