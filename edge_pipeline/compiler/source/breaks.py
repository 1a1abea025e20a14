"""The values at which a function of one number, constant between them, changes.

A bisection down to neighbouring floating-point numbers needs about 50 evaluations for each value.
Map sizes usually follow a rule such as floor(previous size * number), which a few samples show. The
rule then proposes the values, and the function is evaluated at these and directly below them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

__all__ = ["breaks_of"]

Row = tuple[int, ...]
Function = Callable[[float], Row]

_SAMPLES = 33
# If the rule proposes more values than this, only an even selection is checked directly below.
_CHECKED = 24

_RULES: tuple[Callable[[float], int], ...] = (
    lambda x: math.floor(x + 1e-6),
    math.floor,
    round,
    lambda x: math.floor(x + 0.5),
    math.ceil,
    lambda x: math.ceil(x - 1e-6),
)
_POWERS = range(1, 8)


class _Rule(NamedTuple):
    """The rule of one column: max(least, rule(parent * number ** power))."""

    parent: int | None
    base: int
    power: int
    least: int
    rule: Callable[[float], int]

    def __call__(self, value: float, row: Sequence[int]) -> int:
        parent = self.base if self.parent is None else row[self.parent]
        return max(self.least, self.rule(parent * value**self.power))


def breaks_of(function: Function, low: float, high: float, bases: Iterable[int]) -> list[float]:
    """Return the smallest numbers above `low` from which a function has another value, ascending.

    Args:
        function: Function that returns integers. Each must rise or fall monotonically between two
            neighbouring samples; there are 33 samples from `low` to `high`.
        low: Lower end of the range.
        high: Upper end of the range, above `low`.
        bases: Integers that the function's rule may start from, such as the sides of a picture.
    """
    grid = [low + (high - low) * i / (_SAMPLES - 1) for i in range(_SAMPLES)]
    grid[-1] = high
    rules = _rules([(value, function(value)) for value in grid], sorted(set(bases)))
    proposed = list(_changes(lambda value: _predicted(rules, value), grid))
    below = [math.nextafter(value, -math.inf) for value in proposed]
    if None not in rules and _is_right(function, rules, proposed, below):
        return proposed
    return list(_changes(function, sorted({*grid, *proposed, *below})))


def _is_right(
    function: Function, rules: Sequence[_Rule | None], proposed: list[float], below: list[float]
) -> bool:
    checked = below[:: 1 + len(below) // _CHECKED]
    return all(function(value) == _predicted(rules, value) for value in [*proposed, *checked])


def _changes(function: Function, points: Sequence[float]) -> Iterator[float]:
    for low, high in pairwise(points):
        yield from _between(function, low, high)


def _between(function: Function, low: float, high: float) -> Iterator[float]:
    if function(low) == function(high):
        return
    middle = low + (high - low) / 2
    if not low < middle < high:
        yield high
        return
    yield from _between(function, low, middle)
    yield from _between(function, middle, high)


def _predicted(rules: Sequence[_Rule | None], value: float) -> Row:
    row: list[int] = []
    for rule in rules:
        row.append(0 if rule is None else rule(value, row))
    return tuple(row)


def _rules(samples: list[tuple[float, Row]], bases: Sequence[int]) -> list[_Rule | None]:
    """Return a rule for each column that all samples follow; None if there is none."""
    rows = [row for _, row in samples]
    found: list[_Rule | None] = []
    for column, values in enumerate(zip(*rows, strict=True)):
        own = [(value, row[:column], row[column]) for value, row in samples]
        same = next((i for i in range(column) if all(r[i] == r[column] for r in rows)), None)
        found.append(next(_fitting(own, bases, min(values), same), None))
    return found


def _fitting(
    own: list[tuple[float, Row, int]], bases: Sequence[int], least: int, same: int | None
) -> Iterator[_Rule]:
    if same is not None:
        yield _Rule(same, 0, 0, 0, math.floor)
    if all(found == least for _, _, found in own):
        yield _Rule(None, least, 0, 0, math.floor)
    parents = [(None, base, power) for base in bases for power in _POWERS]
    inner = [(i, 0, 1) for i in reversed(range(len(own[0][1])))]
    for parent, base, power in [*parents[:: len(_POWERS)], *inner, *parents]:
        for rule in _RULES:
            for lowest in sorted({least, 0, 1}, reverse=True):
                one = _Rule(parent, base, power, lowest, rule)
                if all(one(value, row) == found for value, row, found in own):
                    yield one
