"""The best evaluated variant under limits of quality and cost."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Literal, get_args

from edge_pipeline.errors import InputError, JobError
from edge_pipeline.select.front import (
    MEASURED,
    Score,
    Variant,
    cost_of,
    score_of,
    variants_of,
)
from edge_pipeline.select.phi import factors_of, phi_text
from edge_pipeline.select.record import Sweep

__all__ = ["METRICS", "Limits", "Metric", "choose", "compile_command", "figures_text"]

Metric = Literal["dice", "iou", "macs", "memory", "size", "latency"]
METRICS: tuple[Metric, ...] = get_args(Metric)
_SCORES: tuple[Score, ...] = get_args(Score)


@dataclass(frozen=True)
class Limits:
    """Limits that a variant must satisfy; None where there is no limit.

    Attributes:
        min_dice: Lowest mean Dice score, 0 to 1.
        min_iou: Lowest mean intersection over union, 0 to 1.
        max_macs: Highest number of multiply-accumulates.
        max_memory: Highest peak memory of activations, in bytes.
        max_size: Highest size of the artifact's programs, in bytes.
        max_latency: Highest median latency, in milliseconds.

    Raises:
        InputError: If a score is not from 0 to 1, or a cost is not above 0.
    """

    min_dice: float | None = None
    min_iou: float | None = None
    max_macs: float | None = None
    max_memory: float | None = None
    max_size: float | None = None
    max_latency: float | None = None

    def __post_init__(self) -> None:
        for side, metric, limit in self.given():
            option = f"--{side}-{metric}"
            if side == "min" and not 0 <= limit <= 1:
                raise InputError(f"{option} {limit:g} is no score; give a number from 0 to 1")
            if side == "max" and not 0 < limit < float("inf"):
                raise InputError(f"{option} {limit:g} is no limit; give a number above 0")

    def given(self) -> list[tuple[str, Metric, float]]:
        """Return the limits that are set: `min` or `max`, the metric, and the limit."""
        found: list[tuple[str, Metric, float]] = []
        for field in fields(self):
            side, metric = field.name.split("_")
            limit = getattr(self, field.name)
            if limit is not None:
                found.append((side, metric, limit))  # type: ignore[arg-type]
        return found

    def excess(self, variant: Variant) -> float:
        """Return the largest relative violation of a limit, 0 if the variant satisfies all."""
        return max((_excess(variant, *limit) for limit in self.given()), default=0.0)


def choose(
    sweep: Sweep,
    limits: Limits,
    metric: Metric,
    *,
    device: str | None = None,
    backend: str | None = None,
) -> Variant:
    """Return the evaluated variant with the best value of a metric that satisfies all limits.

    Only evaluated points are candidates; nothing is interpolated. A limit or metric of size or
    latency restricts the candidates to measured artifacts. Equal values of the metric are decided
    by the higher Dice score, then by fewer MACs, then by the smaller phi.

    Args:
        sweep: Records of a sweep.
        limits: Limits that the variant must satisfy.
        metric: A score, which is maximised, or a cost, which is minimised.
        device: Device of measurements; None if all are from one device.
        backend: Backend of measurements; None for every backend.

    Raises:
        InputError: If the records contain no measurement that is needed, or the device is needed
            and not given.
        JobError: If no candidate satisfies the limits; the message names the nearest.
    """
    needed = {metric, *(name for _, name, _ in limits.given())} & MEASURED
    candidates = variants_of(sweep, measured=bool(needed))
    if not candidates and not needed:
        raise InputError("the records contain no point; run edge-pipeline pareto first")
    if needed:
        candidates = _of_device(candidates, device, backend, ambiguous="latency" in needed)
    fitting = [variant for variant in candidates if limits.excess(variant) == 0]
    key = _ranking(metric)
    if fitting:
        return min(fitting, key=key)
    nearest = min(candidates, key=lambda each: (limits.excess(each), key(each)))
    listed = ", ".join(_limit_text(*limit) for limit in limits.given())
    reached = ", ".join(figures_text(nearest, name) for _, name, _ in limits.given())
    among = f"none of the {len(candidates)} {'measured' if needed else 'evaluated'} points"
    raise JobError(
        f"{among} satisfies {listed}; the nearest is phi {phi_text(nearest.point.phi)} with "
        f"{reached}"
    )


def compile_command(sweep: Sweep, variant: Variant, backend: str) -> str:
    """Return the command that compiles a variant from its checkpoint.

    Args:
        sweep: Records of the sweep that contains the variant.
        variant: The variant.
        backend: Backend for a variant that was not measured.
    """
    measured = variant.measurement
    if measured is not None:
        backend = measured.record.backend
    phi = phi_text(variant.point.phi)
    fixed = ["--phi", phi] if sweep.setting.factors == 1 else ["--fix", f"phi={phi}"]
    _, height, width = sweep.setting.input
    words = ["edge-pipeline", "compile", sweep.setting.checkpoint, "--backend", backend]
    words += [*fixed, "--input", f"{height}x{width}"]
    if measured is not None and measured.record.precision != "fp32":
        words += ["--precision", measured.record.precision]
    return shlex.join([*words, "-o", f"{backend}-phi-{phi}"])


def figures_text(variant: Variant, metric: Metric) -> str:
    """Return a variant's value of a metric as text, with its unit."""
    return _text(metric, _value(variant, metric))


def _of_device(
    candidates: Sequence[Variant], device: str | None, backend: str | None, *, ambiguous: bool
) -> list[Variant]:
    """Return the candidates that were measured on a device with a backend."""

    def names(of: Callable[[Variant], str]) -> list[str]:
        return sorted({of(variant) for variant in candidates})

    devices, backends = names(lambda v: _variant(v)[2]), names(lambda v: _variant(v)[0])
    for option, value, known in (("device", device, devices), ("backend", backend, backends)):
        if not known or (value is not None and value not in known):
            of = f" with the {option} {value}" if value is not None else ""
            has = f"; they have {', '.join(known)}" if known else ""
            raise InputError(
                f"the records contain no measurement{of}{has}; run edge-pipeline pareto with "
                "--backend and --device"
            )
    found = [v for v in candidates if backend in (None, _variant(v)[0])]
    found = [v for v in found if device in (None, _variant(v)[2])]
    if not found:
        raise InputError(f"the records contain no measurement of {backend} on {device}")
    if ambiguous and len({_variant(v)[2] for v in found}) > 1:
        raise InputError(f"the records have latencies of {', '.join(devices)}; give --device")
    return found


def _variant(variant: Variant) -> tuple[str, str, str, int]:
    if variant.measurement is None:
        raise ValueError(f"phi {variant.point.phi} was not measured")
    return variant.measurement.variant


def _value(variant: Variant, metric: Metric) -> float:
    if metric == "dice" or metric == "iou":
        return score_of(variant.point.scores, metric)
    return cost_of(variant, metric)


def _excess(variant: Variant, side: str, metric: Metric, limit: float) -> float:
    value = _value(variant, metric)
    beyond = limit - value if side == "min" else value - limit
    return beyond / limit if beyond > 0 else 0.0


def _ranking(metric: Metric) -> Callable[[Variant], tuple[float, ...]]:
    """Return the key of which the best variant has the least value."""

    def key(variant: Variant) -> tuple[float, ...]:
        value = _value(variant, metric)
        point = variant.point
        best = -value if metric in _SCORES else value
        return best, -point.scores.dice, point.macs, *factors_of(point.phi)

    return key


def _limit_text(side: str, metric: Metric, limit: float) -> str:
    return f"{'at least' if side == 'min' else 'at most'} {_text(metric, limit)}"


_NAMES: dict[str, str] = {"dice": "Dice", "iou": "mIoU"}


def _text(metric: Metric, value: float) -> str:
    if metric in _NAMES:
        return f"{_NAMES[metric]} {value:.4g}"
    if metric == "latency":
        return f"{value:.3g} ms" if value < 1000 else f"{value:.0f} ms"
    unit = "MAC" if metric == "macs" else "B"
    for factor, prefix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= factor:
            return f"{value / factor:.4g} {prefix}{unit}"
    return f"{value:.4g} {unit}"
