"""The knots of straight lines on which the weights of a network lie."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

__all__ = ["TooManyKnots", "bounds_of", "is_straight", "knots_of"]

# Rounding to float32 moves weights off a straight line by up to this share of the largest weight.
_TOLERANCE = 2e-6
# Weights smaller than this share of the largest weight of all get the tolerance of that share.
_FAINT = 1e-3
# A bend is not located more precisely than this share of the range.
_SHORTEST = 1e-6

_Weights = Mapping[str, NDArray[np.float32]]


class TooManyKnots(Exception):  # noqa: N818 - caught where curves are made
    """The weights lie on more straight lines than an artifact should store."""


def bounds_of(*found: _Weights) -> dict[str, float]:
    """Return the largest distance of each weight from a line, from the weights at some values."""
    largest = {key: max(float(np.abs(one[key]).max()) for one in found) for key in found[0]}
    faint = _FAINT * max(largest.values(), default=0.0)
    return {key: _TOLERANCE * max(value, faint) for key, value in largest.items()}


def is_straight(
    at: Callable[[float], _Weights],
    values: tuple[float, float, float],
    bounds: Mapping[str, float],
    times: float = 1.0,
) -> bool:
    """Return whether the weights at the second of three values lie on lines through the others.

    Args:
        at: Function that returns weights by name.
        values: Three values, ascending.
        bounds: Largest distance of each weight.
        times: Factor of all bounds.
    """
    low, middle, high = values
    share = (middle - low) / (high - low)
    ends, found = (at(low), at(high)), at(middle)
    return all(
        float(np.abs((1 - share) * ends[0][key] + share * ends[1][key] - found[key]).max())
        <= times * bound
        for key, bound in bounds.items()
    )


def knots_of(
    at: Callable[[float], _Weights],
    low: float,
    high: float,
    bounds: Mapping[str, float],
    most: int,
) -> list[float]:
    """Return the values between which all weights are straight lines, including both ends.

    Args:
        at: Function that returns weights by name; it is called often with the same value.
        low: Lowest value.
        high: Highest value.
        bounds: Largest distance of each weight from a line.
        most: Largest number of knots.

    Raises:
        TooManyKnots: If there are more knots.
    """
    found: list[float] = []
    for knot in _pieces(at, (low, high), bounds, _SHORTEST * (high - low)):
        # A knot in the middle of a straight line is not needed.
        while len(found) > 1 and is_straight(at, (found[-2], found[-1], knot), bounds):
            found.pop()
        found.append(knot)
        if len(found) >= most:  # `high` is one more
            raise TooManyKnots
    while len(found) > 1 and is_straight(at, (found[-2], found[-1], high), bounds):
        found.pop()
    return [*found, high]


def _pieces(
    at: Callable[[float], _Weights],
    ends: tuple[float, float],
    bounds: Mapping[str, float],
    shortest: float,
) -> Iterator[float]:
    """Yield the beginnings of straight pieces, in order."""
    low, high = ends
    first, last = low + (high - low) / 4, high - (high - low) / 4
    straight = all(is_straight(at, (low, middle, high), bounds) for middle in (first, last))
    if straight or high - low < shortest:
        yield low
        return
    bend = _crossing(at, (low, first, last, high))
    if not low < bend < high:
        bend = (low + high) / 2
    yield from _pieces(at, (low, bend), bounds, shortest)
    yield from _pieces(at, (bend, high), bounds, shortest)


def _crossing(at: Callable[[float], _Weights], values: tuple[float, float, float, float]) -> float:
    """Return where the line through the first two values comes nearest to that of the last two."""
    low, first, last, high = (
        np.concatenate([w.ravel().astype(np.float64) for w in at(v).values()]) for v in values
    )
    a, b, c, d = values
    left, right = (first - low) / (b - a), (high - last) / (d - c)
    turn = left - right
    size = float(turn @ turn)
    # The two lines, with t = 0 at a: low + left * t, and high + right * (t - (d - a)).
    apart = low - high + right * (d - a)
    return a - float(turn @ apart) / size if size else (a + d) / 2
