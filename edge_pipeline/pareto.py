"""Pareto fronts of points that have a cost and a score.

A point dominates another one if its cost is not higher, its score is not lower, and one of the two
is better. The front has all points that no other point dominates.
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["front_of"]


def front_of(costs: Sequence[float], scores: Sequence[float]) -> list[int]:
    """Return the positions of the points on the Pareto front, in the order of the cost.

    Args:
        costs: Costs of the points; low is good.
        scores: Scores of the same points; high is good.
    """
    order = sorted(range(len(costs)), key=lambda k: (costs[k], -scores[k]))
    front: list[int] = []
    for k in order:
        last = front[-1] if front else None
        equal = last is not None and (costs[k], scores[k]) == (costs[last], scores[last])
        if last is None or scores[k] > scores[last] or equal:
            front.append(k)
    return front
