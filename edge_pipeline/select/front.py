"""Costs of the evaluated points, and their Pareto fronts: score against each cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from edge_pipeline.pareto import front_of
from edge_pipeline.select.phi import Phi
from edge_pipeline.select.record import Measurement, Point, Scores, Sweep

__all__ = [
    "COSTS",
    "MEASURED",
    "UNITS",
    "Cost",
    "Curve",
    "Score",
    "Variant",
    "cost_of",
    "curves_of",
    "front_of",
    "score_of",
    "variants_of",
]

Cost = Literal["macs", "memory", "size", "latency"]
Score = Literal["dice", "iou"]
COSTS: tuple[Cost, ...] = get_args(Cost)
UNITS: dict[Cost, str] = {"macs": "MAC", "memory": "B", "size": "B", "latency": "ms"}
"""Units of the costs."""
MEASURED: frozenset[str] = frozenset({"size", "latency"})
"""Costs that only a compiled artifact has."""


@dataclass(frozen=True)
class Variant:
    """A deployable network: an evaluated phi, and the compiled artifact if one was measured."""

    point: Point
    measurement: Measurement | None = None


@dataclass(frozen=True)
class Curve:
    """The variants of one cost, and those of them that are on the front.

    Attributes:
        cost: Name of the cost.
        backend: Backend of the artifacts; None for a cost that is counted.
        precision: Precision of the artifacts; None as above.
        device: Device of the latencies; None for every other cost.
        threads: Threads of the latencies; None for every other cost.
        variants: All variants, in the order of phi.
        front: Positions of the front in `variants`, in the order of the cost.
    """

    cost: Cost
    backend: str | None
    precision: str | None
    device: str | None
    threads: int | None
    variants: tuple[Variant, ...]
    front: tuple[int, ...]


def score_of(scores: Scores, score: Score) -> float:
    """Return the mean Dice score or the mean intersection over union."""
    return scores.dice if score == "dice" else scores.iou


def cost_of(variant: Variant, cost: Cost) -> float:
    """Return a cost in the unit of `UNITS`; the latency is the median.

    Raises:
        ValueError: If the cost is measured, and the variant has no measurement.
    """
    if cost == "macs":
        return variant.point.macs
    if cost == "memory":
        return variant.point.activation_bytes
    if variant.measurement is None:
        raise ValueError(f"phi {variant.point.phi} has no measurement of {cost}")
    if cost == "size":
        return variant.measurement.artifact_bytes
    return variant.measurement.latency.median_ms


def variants_of(sweep: Sweep, *, measured: bool) -> list[Variant]:
    """Return the variants of a sweep: each measured artifact, or each evaluated phi."""
    if not measured:
        return [Variant(point) for point in sweep.points]
    return [Variant(point, m) for point in sweep.points for m in point.measurements]


def curves_of(sweep: Sweep, score: Score) -> list[Curve]:
    """Return the curve of each cost; measured costs have one for each backend and device."""
    found = [
        _curve(cost, (None, None, None, None), variants_of(sweep, measured=False), score)
        for cost in COSTS
        if cost not in MEASURED
    ]
    groups: dict[tuple[str, str, str, int], list[Variant]] = {}
    sizes: dict[tuple[str, str], dict[Phi, Variant]] = {}
    for variant in variants_of(sweep, measured=True):
        if variant.measurement is not None:
            key = variant.measurement.variant
            groups.setdefault(key, []).append(variant)
            # An artifact has one size, however often its latency was measured.
            sizes.setdefault(key[:2], {}).setdefault(variant.point.phi, variant)
    found += [
        _curve("size", (*key, None, None), list(group.values()), score)
        for key, group in sizes.items()
    ]
    found += [_curve("latency", key, group, score) for key, group in groups.items()]
    return found


def _curve(
    cost: Cost,
    key: tuple[str | None, str | None, str | None, int | None],
    variants: list[Variant],
    score: Score,
) -> Curve:
    costs = [cost_of(variant, cost) for variant in variants]
    scores = [score_of(variant.point.scores, score) for variant in variants]
    return Curve(cost, *key, tuple(variants), tuple(front_of(costs, scores)))
