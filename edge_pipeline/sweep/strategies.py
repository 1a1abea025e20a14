"""Strategies that decide which values of a grid are evaluated: all, random ones, or TPE."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np

from edge_pipeline.errors import InputError
from edge_pipeline.optional import require
from edge_pipeline.select.front import Cost, Score, Variant, cost_of, score_of
from edge_pipeline.select.phi import Phi
from edge_pipeline.select.record import Point
from edge_pipeline.sweep.grid import MOST

__all__ = ["Goal", "Listed", "Strategy", "StrategyName", "Tpe", "open_strategy"]

StrategyName = Literal["grid", "random", "tpe"]
# Trials of TPE that are drawn at random before its first model, as a share of all trials.
_STARTING = 0.25


@dataclass(frozen=True)
class Goal:
    """The problem that TPE solves: the least cost at which the score reaches a minimum.

    Attributes:
        cost: `macs` or `memory`, which are counted when a phi is evaluated.
        score: The constrained score.
        minimum: Lowest permitted score, 0 to 1.

    Source: [AmortizedScaling], equation 3.
    """

    cost: Cost
    score: Score
    minimum: float


class Strategy(Protocol):
    """A search over values of phi: the caller alternates `propose` and `observe`."""

    length: int

    def propose(self) -> Phi | None:
        """Return the next phi to evaluate, which may have occurred before; None at the end."""
        ...

    def observe(self, point: Point) -> None:
        """Take note of the figures of the proposed phi."""
        ...


class Listed:
    """Proposes the values of a list, whatever their figures are.

    Args:
        phis: Values of phi.
    """

    def __init__(self, phis: Sequence[Phi]) -> None:
        self.length = len(phis)
        self._left = list(reversed(phis))

    def propose(self) -> Phi | None:
        """Return the next phi of the list, None at its end."""
        return self._left.pop() if self._left else None

    def observe(self, point: Point) -> None:
        """Do nothing."""


class Tpe:
    """A tree-structured Parzen estimator, which prefers values like those that satisfy the goal.

    Args:
        grid: Values of each factor, ascending.
        trials: Number of proposals.
        seed: Seed of the proposals; equal figures give equal proposals.
        goal: The problem to solve.
        factors: Number of separate rescaling factors.

    Raises:
        MissingExtraError: If Optuna is not installed.

    Source: J. Bergstra et al., Algorithms for hyper-parameter optimization, NIPS 2011; Optuna.
    """

    def __init__(
        self, grid: Sequence[float], trials: int, seed: int, goal: Goal, factors: int = 1
    ) -> None:
        optuna = require("optuna", "train", "the strategy tpe")
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        sampler = optuna.samplers.TPESampler(
            seed=seed,
            n_startup_trials=max(2, round(_STARTING * trials)),
        )
        self._study = optuna.create_study(sampler=sampler)
        self._grid, self._goal = list(grid), goal
        self._names = ["index"] if factors == 1 else [f"index{k}" for k in range(factors)]
        self._trial: Any = None
        self._asked, self.length = 0, trials

    def propose(self) -> Phi | None:
        """Return the next phi of the grid; None after the last trial."""
        if self._asked == self.length:
            return None
        self._asked += 1
        self._trial = self._study.ask()
        last = len(self._grid) - 1
        phi = tuple(self._grid[self._trial.suggest_int(name, 0, last)] for name in self._names)
        return phi if len(phi) > 1 else phi[0]

    def observe(self, point: Point) -> None:
        """Tell Optuna the cost of the proposed phi, and by how much its score is too low."""
        missing = self._goal.minimum - score_of(point.scores, self._goal.score)
        self._trial.set_constraint("shortfall", missing)
        self._study.tell(self._trial, cost_of(Variant(point), self._goal.cost))


def open_strategy(
    name: StrategyName,
    grid: Sequence[float],
    *,
    factors: int = 1,
    trials: int | None = None,
    seed: int = 0,
    goal: Goal | None = None,
) -> Strategy:
    """Return a strategy over a grid of phi.

    Args:
        name: `grid` for all values, `random` for some without repetition, or `tpe`.
        grid: Values of phi, or of each of several factors, ascending.
        factors: Number of separate rescaling factors; with several, a strategy chooses from all of
            their combinations.
        trials: Number of proposals of `random` and `tpe`; `grid` has none.
        seed: Seed of `random` and `tpe`.
        goal: The problem that `tpe` solves.

    Raises:
        InputError: If trials or the goal are missing, or do not belong to the strategy, or a grid
            has too many combinations.
        MissingExtraError: If Optuna is required and not installed.
    """
    if (trials is None) != (name == "grid"):
        remedy = "leave --trials out" if trials is not None else "give --trials N"
        raise InputError(f"the strategy {name} has {trials or 'no'} trials; {remedy}")
    if (goal is None) != (name != "tpe"):
        remedy = "leave --min-dice and --min-iou out" if goal else "give --min-dice or --min-iou"
        raise InputError(f"the strategy {name} has {'a' if goal else 'no'} lowest score; {remedy}")
    if name == "grid" or trials is None:
        return Listed(_combinations(grid, factors))
    if goal is not None:
        if goal.cost not in ("macs", "memory"):
            raise InputError(
                f"tpe cannot minimise the {goal.cost}, which is measured after the search; choose "
                "macs or memory"
            )
        return Tpe(grid, trials, seed, goal, factors)
    return Listed(list(itertools.islice(_drawn(grid, factors, seed), trials)))


def _combinations(grid: Sequence[float], factors: int) -> list[Phi]:
    """Return all values of phi of a grid, in ascending order.

    Raises:
        InputError: If there are too many.
    """
    count = len(grid) ** factors
    if factors > 1 and count > MOST:
        raise InputError(
            f"{len(grid)} values of each of {factors} factors are {count} combinations, and at "
            f"most {MOST} are supported; give a larger step with --phi, or --strategy random"
        )
    return list(grid) if factors == 1 else list(itertools.product(grid, repeat=factors))


def _drawn(grid: Sequence[float], factors: int, seed: int) -> Iterator[Phi]:
    """Yield random values of phi of a grid, each once."""
    rng = np.random.default_rng(seed)
    if len(grid) ** factors <= MOST:
        listed = _combinations(grid, factors)
        yield from (listed[k] for k in rng.permutation(len(listed)))
        return
    seen: set[Phi] = set()
    while len(seen) < len(grid) ** factors:
        phi = tuple(grid[k] for k in rng.integers(len(grid), size=factors))
        if phi not in seen:
            seen.add(phi)
            yield phi
