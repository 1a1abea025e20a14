"""Charts of quality against cost, with a Pareto front over phi for each way to run a network."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from edge_pipeline.pareto import front_of
from edge_pipeline.report.chart import Chart, Dot, Series
from edge_pipeline.report.measured.view import Row, once
from edge_pipeline.report.words import count, ms

__all__ = ["Metric", "metric_of", "quality_charts"]


@dataclass(frozen=True)
class Metric:
    """A score in `Record.quality`.

    Attributes:
        key: Its name in the records.
        label: Its name for readers, with the unit.
        better: Direction of better scores: 1 for higher, -1 for lower; None if unknown.
    """

    key: str
    label: str
    better: int | None


# Beginnings of the keys of known scores, their names, and the direction of better ones.
_KNOWN = (
    ("psnr_to_before_db", "PSNR to the original network, dB", 1),
    ("psnr_srgb_db", "PSNR in sRGB, dB", 1),
    ("psnr_db", "PSNR, dB", 1),
    ("psnr", "PSNR, dB", 1),
    ("ssim", "SSIM", 1),
    ("delta_e", "Delta E", -1),
    ("dice", "Dice", 1),
    ("miou", "mIoU", 1),
    ("iou", "IoU", 1),
    ("agreement", "agreement with the original network", 1),
)
# The axis of costs is logarithmic if the largest exceeds the least by this factor.
_WIDE = 12
_NOTE = (
    "The line is the Pareto front of the values of phi; hollow dots are dominated. Red crosses "
    "have wrong outputs and are on no front."
)


def metric_of(key: str) -> Metric:
    """Return the description of a score; the rest of a known score's name follows its label."""
    for start, label, better in _KNOWN:
        if key.startswith(start):
            rest = key.removeprefix(start).strip("_").replace("_", " ")
            return Metric(key, f"{label} ({rest})" if rest else label, better)
    return Metric(key, key.replace("_", " "), None)


@dataclass(frozen=True)
class _Cost:
    """A cost: title, axis, value of a row, and the properties that tell its series apart."""

    title: str
    axis: str
    value: Callable[[Row], float | None]
    series: Callable[[Row], tuple[str, ...]]
    facets: tuple[str, ...]
    text: Callable[[float], str]


def _macs(row: Row) -> float | None:
    return None if row.record.macs is None else row.record.macs / 1e6


def _median(row: Row) -> float | None:
    return None if row.record.latency is None else row.record.latency.median_ms


_COSTS = (
    _Cost(
        "multiply-accumulates",
        "million multiply-accumulates",
        _macs,
        lambda row: (row.record.model, row.record.precision),
        ("network", "precision"),
        lambda value: f"{count(round(value * 1e6))} MACs",
    ),
    _Cost(
        "latency",
        "median latency, ms",
        _median,
        lambda row: (
            row.record.model,
            row.record.precision,
            row.record.backend,
            row.device,
            f"{row.record.threads} thread{'s' if row.record.threads > 1 else ''}",
        ),
        ("network", "precision", "backend", "device"),
        lambda value: f"{ms(value)} ms",
    ),
)


def quality_charts(rows: Sequence[Row]) -> list[Chart]:
    """Return a chart for each score and each cost that several rows with this score have."""
    keys = dict.fromkeys(key for row in rows for key in row.record.quality)
    return [
        chart
        for key in keys
        for cost in _COSTS
        if (chart := _chart(metric_of(key), cost, rows)) is not None
    ]


def _chart(metric: Metric, cost: _Cost, rows: Sequence[Row]) -> Chart | None:
    groups: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        if metric.key in row.record.quality and cost.value(row) is not None:
            groups.setdefault(cost.series(row), []).append(row)
    series = [
        one
        for colour, (name, group) in enumerate(zip(_names(groups), groups.values(), strict=True))
        for one in _series(metric, cost, group, colour, name)
    ]
    costs = [dot.x for one in series for dot in one.dots]
    if len(costs) < 2:
        return None
    better = {1: "higher is better", -1: "lower is better", None: "as recorded"}[metric.better]
    title = f"{metric.label.removesuffix(', dB')} and {cost.title}"
    note = _NOTE if metric.better else ""
    logarithmic = "x" if 0 < _WIDE * min(costs) < max(costs) else ""
    return Chart(title, cost.axis, f"{metric.label}, {better}", series, note, logarithmic)


def _names(series: Iterable[tuple[str, ...]]) -> list[str]:
    """Return the names of series: the words in which they differ; the first word if in none."""
    words = list(series)
    told = [k for k in range(len(words[0])) if len({one[k] for one in words}) > 1] if words else []
    return [", ".join(one[k] for k in told or (0,)) for one in words]


def _series(
    metric: Metric, cost: _Cost, rows: Sequence[Row], colour: int, name: str
) -> Iterator[Series]:
    """Yield the front, the dominated dots and the wrong ones of one way to run a network."""
    facets = {facet: rows[0].facets[facet] for facet in cost.facets}
    right = once(
        (row for row in rows if not row.is_wrong),
        lambda row: (row.record.artifact_digest, row.record.program, row.name),
    )
    costs = [cost.value(row) or 0.0 for row in right]
    scores = [row.record.quality[metric.key] * (metric.better or 1) for row in right]
    front = front_of(costs, scores) if metric.better else list(range(len(right)))
    dominated = [k for k in range(len(right)) if k not in set(front)]
    wrong = [row for row in rows if row.is_wrong]

    def dots(chosen: Sequence[Row]) -> list[Dot]:
        return [_dot(row, metric, cost) for row in chosen]

    if front:
        line: Literal["steps"] | None = "steps" if metric.better else None
        yield Series(name, dots([right[k] for k in front]), line, colour=colour, facets=facets)
    if dominated:
        yield Series(
            f"{name}, dominated", dots([right[k] for k in dominated]),
            colour=colour, mark="hollow", in_key=False, facets=facets,
        )  # fmt: skip
    if wrong:
        yield Series(
            f"{name}, wrong outputs", dots(wrong), colour=colour, mark="cross", facets=facets
        )


def _dot(row: Row, metric: Metric, cost: _Cost) -> Dot:
    value, score = cost.value(row) or 0.0, row.record.quality[metric.key]
    text = f"{row.name}: {score:.4g}, {cost.text(value)}"
    latency = row.record.latency
    if cost.value is not _median or latency is None:
        return Dot(value, score, text)
    return Dot(value, score, text, left=latency.p5_ms, right=latency.p95_ms)
