"""A sweep: evaluate what a strategy proposes, compile and measure, and write the results."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge_pipeline.select.front import Score
from edge_pipeline.select.phi import Phi, factors_of
from edge_pipeline.select.record import Point
from edge_pipeline.sweep.evaluation import Evaluator, open_subject
from edge_pipeline.sweep.folder import Folder
from edge_pipeline.sweep.grid import grid_of, parse_phis
from edge_pipeline.sweep.measuring import Measuring, measure_points
from edge_pipeline.sweep.pictures import open_pictures
from edge_pipeline.sweep.strategies import Goal, Listed, Strategy, StrategyName, open_strategy

__all__ = ["Progress", "SweepRequest", "evaluate_proposals", "run_sweep"]


@dataclass(frozen=True)
class SweepRequest:
    """A sweep: the checkpoint, the pictures, the values of phi, and what is measured.

    Attributes:
        checkpoint: Path of the checkpoint.
        data: Registered name of a labelled data set, or a folder with images and masks.
        output: Folder of the records, tables and the page.
        split: Split of the data set.
        options: Options of the data set.
        resize: Height and width that pictures and masks are scaled to; None keeps them.
        phi: `LOW:HIGH:STEP`; None for the network's range in steps of 0.01, or of 0.1 if it has
            separate rescaling factors.
        strategy: Strategy that chooses values of the grid.
        trials: Number of proposals of `random` and `tpe`.
        seed: Seed of `random` and `tpe`.
        goal: The problem that `tpe` solves.
        score: Score that the fronts maximise.
        measuring: How points are compiled and measured; None if they are not.
        measure: Values of phi to measure, as in `0.1,0.25`, or `0.3-0.4,0.2-0.5` for separate
            factors; None for all proposed ones.
    """

    checkpoint: Path
    data: str
    output: Path
    split: str = "val"
    options: Mapping[str, Any] = field(default_factory=dict)
    resize: tuple[int, int] | None = None
    phi: str | None = None
    strategy: StrategyName = "grid"
    trials: int | None = None
    seed: int = 0
    goal: Goal | None = None
    score: Score = "dice"
    measuring: Measuring | None = None
    measure: str | None = None


@dataclass(frozen=True)
class Progress:
    """A step of the evaluation.

    Attributes:
        phi: The phi that is evaluated.
        proposal: Number of the proposal, from 1.
        proposals: Number of proposals of the strategy.
        picture: Number of the picture, from 1.
        pictures: Number of pictures.
    """

    phi: Phi
    proposal: int
    proposals: int
    picture: int
    pictures: int


def run_sweep(
    request: SweepRequest,
    on_progress: Callable[[Progress], None] = lambda _progress: None,
    on_step: Callable[[str], None] = lambda _step: None,
) -> Folder:
    """Evaluate and measure a checkpoint, and write all files of the sweep.

    Args:
        request: The sweep.
        on_progress: Function that is called before each picture is evaluated.
        on_step: Function that is called with a description of each step of measuring.

    Returns:
        The folder with the records.

    Raises:
        InputError: If the checkpoint, the data set or an option cannot be used.
        EdgePipelineError: If a phi cannot be compiled or measured, or a file cannot be written.
    """
    if request.measuring is not None:
        request.measuring.check()
    subject = open_subject(request.checkpoint)
    phi_range, factors = subject.network.phi_range, subject.factors
    strategy = open_strategy(
        request.strategy,
        grid_of(phi_range, request.phi, factors),
        factors=factors,
        trials=request.trials,
        seed=request.seed,
        goal=request.goal,
    )
    measured = None
    if request.measure is not None:
        measured = parse_phis(request.measure, phi_range, factors)
    pictures = open_pictures(request.data, request.split, request.options, subject.labels)
    evaluator = Evaluator(subject, pictures, request.resize)
    folder = Folder(request.output, evaluator.setting)
    proposed = evaluate_proposals(folder, strategy, evaluator.point, on_progress)
    if measured is not None:
        evaluate_proposals(folder, Listed(measured), evaluator.point, on_progress)
    folder.summarise(request.score)
    if request.measuring is not None:
        measure_points(
            folder.sweep,
            proposed if measured is None else measured,
            request.measuring,
            request.output,
            save=folder.save,
            on_step=on_step,
        )
        folder.summarise(request.score)
    return folder


def evaluate_proposals(
    folder: Folder,
    strategy: Strategy,
    evaluate: Callable[[Phi, Callable[[int], None]], Point],
    on_progress: Callable[[Progress], None] = lambda _progress: None,
) -> list[Phi]:
    """Evaluate each phi that a strategy proposes, and store it before the next one.

    A phi that the records contain is not evaluated again. A strategy therefore repeats its
    proposals after an interruption, and continues with the next one.

    Args:
        folder: Folder of the sweep.
        strategy: The strategy.
        evaluate: Function that returns the point of a phi; its second argument is called with the
            position of each picture.
        on_progress: Function that is called before each picture.

    Returns:
        The proposed values of phi in ascending order, each once.

    Raises:
        EdgePipelineError: If a phi cannot be evaluated or stored.
    """
    proposed: set[Phi] = set()
    number, pictures = 0, len(folder.sweep.setting.pictures)
    while (phi := strategy.propose()) is not None:
        number += 1
        point = folder.sweep.at(phi)
        if point is None:
            step = _Step(on_progress, phi, number, strategy.length, pictures)
            point = evaluate(phi, step)
            folder.save(folder.sweep.with_point(point))
        strategy.observe(point)
        proposed.add(phi)
    return sorted(proposed, key=factors_of)


@dataclass(frozen=True)
class _Step:
    """Reports the progress of the pictures of one phi."""

    report: Callable[[Progress], None]
    phi: Phi
    proposal: int
    proposals: int
    pictures: int

    def __call__(self, index: int) -> None:
        self.report(Progress(self.phi, self.proposal, self.proposals, index + 1, self.pictures))
