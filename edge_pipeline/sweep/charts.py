"""The charts of a sweep: scores against phi, and a Pareto front for each cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from edge_pipeline.report.chart import Chart, Dot, Series
from edge_pipeline.select.choice import figures_text
from edge_pipeline.select.front import Cost, Curve, Score, Variant, cost_of, curves_of, score_of
from edge_pipeline.select.phi import factors_of, phi_text
from edge_pipeline.select.record import Point, Sweep

__all__ = ["charts_of"]

_NAMES: dict[Score, str] = {"dice": "mean Dice", "iou": "mIoU"}
# Title, label of the axis, and unit's size of each cost.
_AXES: dict[Cost, tuple[str, str, float]] = {
    "macs": ("Multiply-accumulates", "million MACs", 1e6),
    "memory": ("Memory of activations", "peak, MB", 1e6),
    "size": ("Artifact size", "kB", 1e3),
    "latency": ("Latency", "median, ms", 1.0),
}
# More labels cannot be told apart in one chart; the tables have all of them.
_MOST_LABELS = 4


def charts_of(sweep: Sweep, score: Score) -> list[Chart]:
    """Return the charts of a sweep with at least one point.

    Args:
        sweep: Records of a sweep.
        score: Score that the fronts maximise.
    """
    against = [_against_phi(sweep)]
    if sweep.setting.factors > 1:
        against = [_against_factor(sweep, k, score) for k in range(sweep.setting.factors)]
    return [*against, *(_front(curve, score) for curve in curves_of(sweep, score))]


def _against_factor(sweep: Sweep, k: int, score: Score) -> Chart:
    """Return the chart of a score against one of several factors, as in Figure 11 of the paper."""
    dots = [_dot(p, factors_of(p.phi)[k], score_of(p.scores, score)) for p in sweep.points]
    title = f"Score and factor {k + 1} of {sweep.setting.factors}"
    note = "A dot for each combination of the other factors; factor 1 is that of the finest maps."
    return Chart(title, f"factor {k + 1}", _NAMES[score], [Series(_NAMES[score], dots)], note)


def _against_phi(sweep: Sweep) -> Chart:
    def dot(point: Point, value: float, *, spread: bool = False) -> Dot:
        return _dot(point, factors_of(point.phi)[0], value, spread=spread)

    series = [
        Series(
            "mean Dice",
            [dot(p, p.scores.dice, spread=True) for p in sweep.points],
            "straight",
        ),
        Series("mIoU", [dot(p, p.scores.iou) for p in sweep.points], "straight"),
    ]
    first = 1 if sweep.setting.background else 0
    named = range(first, len(sweep.setting.labels))
    if 1 < len(named) <= _MOST_LABELS:
        series += [_label(sweep.points, k) for k in named]
    note = "Bars are one standard deviation over the pictures to each side."
    return Chart("Scores and phi", "phi", "score", [s for s in series if s.dots], note)


def _label(points: Sequence[Point], k: int) -> Series:
    dots = [
        _dot(point, factors_of(point.phi)[0], dice)
        for point in points
        if (dice := point.scores.labels[k].dice) is not None
    ]
    return Series(f"Dice of {points[0].scores.labels[k].label}", dots, "straight")


def _front(curve: Curve, score: Score) -> Chart:
    title, label, unit = _AXES[curve.cost]
    if curve.backend is not None:
        title += f", {curve.backend} {curve.precision}"
    if curve.device is not None:
        title += f" on {curve.device}"

    def dot(variant: Variant, *, spread: bool) -> Dot:
        point = variant.point
        x, y = cost_of(variant, curve.cost) / unit, score_of(point.scores, score)
        text = f"{figures_text(variant, score)}, {figures_text(variant, curve.cost)}"
        found = _dot(point, x, y, text, spread=spread and score == "dice")
        if curve.cost != "latency" or variant.measurement is None or not spread:
            return found
        latency = variant.measurement.latency
        return replace(found, left=latency.min_ms, right=latency.p90_ms)

    dominated = [v for k, v in enumerate(curve.variants) if k not in set(curve.front)]
    series = [
        Series("front", [dot(curve.variants[k], spread=True) for k in curve.front], "steps"),
        Series("dominated", [dot(v, spread=False) for v in dominated], faint=True),
    ]
    note = "Horizontal bars: fastest run to 90th percentile." if curve.cost == "latency" else ""
    return Chart(title, label, _NAMES[score], [s for s in series if s.dots], note)


def _dot(point: Point, x: float, y: float, text: str = "", *, spread: bool = False) -> Dot:
    words = f"phi {phi_text(point.phi)}: {text or f'{y:.4g}'}"
    if not spread:
        return Dot(x, y, words)
    half = point.scores.dice_std
    return Dot(x, y, words, max(0.0, y - half), min(1.0, y + half))
