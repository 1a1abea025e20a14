"""Points and fronts of a sweep as CSV and JSON, for spreadsheets and other programs."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence

from edge_pipeline.select.choice import figures_text
from edge_pipeline.select.front import UNITS, Curve, Score, Variant, cost_of, curves_of, score_of
from edge_pipeline.select.phi import phi_text, phi_value
from edge_pipeline.select.record import Point, Sweep

__all__ = ["answer_figures", "answer_lines", "front_json", "front_rows", "point_rows", "rows_csv"]

Row = Mapping[str, str | int | float | None]


def point_rows(sweep: Sweep) -> list[Row]:
    """Return a row for each measured artifact, and for each point without one."""
    return [
        answer_figures(Variant(point, measurement)) | _labels(point)
        for point in sweep.points
        for measurement in point.measurements or (None,)
    ]


def front_rows(sweep: Sweep, score: Score) -> list[Row]:
    """Return a row for each point of each front, in the order of the cost.

    Args:
        sweep: Records of a sweep.
        score: Score that the fronts maximise.
    """
    return [
        {
            **_subject(curve),
            "value": cost_of(curve.variants[k], curve.cost),
            "score": score,
            "score_value": score_of(curve.variants[k].point.scores, score),
            "phi": phi_value(curve.variants[k].point.phi),
        }
        for curve in curves_of(sweep, score)
        for k in curve.front
    ]


def _subject(curve: Curve) -> dict[str, str | int | None]:
    """Return the cost of a curve, and how it was measured."""
    return {
        "cost": curve.cost,
        "unit": UNITS[curve.cost],
        "backend": curve.backend,
        "precision": curve.precision,
        "device": curve.device,
        "threads": curve.threads,
    }


def front_json(sweep: Sweep, score: Score) -> str:
    """Return the fronts as JSON text: for each cost, its points with all of their figures."""

    def entry(curve: Curve) -> dict[str, object]:
        points = [answer_figures(curve.variants[k]) for k in curve.front]
        return {**_subject(curve), "points": points}

    content = {
        "schema_version": 1,
        "setting": sweep.setting.model_dump(mode="json"),
        "score": score,
        "fronts": [entry(curve) for curve in curves_of(sweep, score)],
    }
    return json.dumps(content, indent=2) + "\n"


def rows_csv(rows: Sequence[Row]) -> str:
    """Return rows as CSV text (RFC 4180) with a header; None becomes an empty field.

    Args:
        rows: Rows with the same keys in the same order.
    """
    buffer = io.StringIO()
    names = list(rows[0]) if rows else []
    writer = csv.DictWriter(buffer, names, lineterminator="\r\n")
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue()


def answer_lines(variant: Variant, points: int) -> list[str]:
    """Return lines of text with the figures of a variant and their spread.

    Args:
        variant: The variant.
        points: Number of evaluated points, among which it was chosen.
    """
    point, scores, measured = variant.point, variant.point.scores, variant.measurement
    lines = [
        f"phi {phi_text(point.phi)} of {points} evaluated",
        f"mean Dice {scores.dice:.4f}, mIoU {scores.iou:.4f}; Dice of {len(scores.known_dice)} "
        f"pictures: standard deviation {scores.dice_std:.4f}, from {scores.dice_low:.4f} to "
        f"{scores.dice_high:.4f}",
        f"{figures_text(variant, 'macs')}, {figures_text(variant, 'memory')} of activations",
    ]
    if measured is not None:
        record, latency = measured.record, measured.latency
        processor = record.environment.host_processor_model_name
        threads = f"{record.threads} thread{'s' if record.threads > 1 else ''}"
        lines.append(
            f"{record.backend} {record.precision} on {record.device} ({processor}, {threads}): "
            f"median {latency.median_ms:.3g} ms, p90 {latency.p90_ms:.3g} ms, "
            f"{latency.min_ms:.3g} to {latency.max_ms:.3g} ms in {record.num_runs} runs; "
            f"programs of {figures_text(variant, 'size')}"
        )
    return lines


def answer_figures(variant: Variant) -> dict[str, str | int | float | None]:
    """Return phi, the scores with their spread, the costs, and the latency with its spread."""
    point, measured = variant.point, variant.measurement
    scores = point.scores
    record = None if measured is None else measured.record
    latency = None if measured is None else measured.latency
    return {
        "phi": phi_value(point.phi),
        "dice": scores.dice,
        "dice_std": scores.dice_std,
        "dice_low": scores.dice_low,
        "dice_high": scores.dice_high,
        "iou": scores.iou,
        "macs": point.macs,
        "flops": 2 * point.macs,
        "activation_bytes": point.activation_bytes,
        "backend": None if record is None else record.backend,
        "precision": None if record is None else record.precision,
        "device": None if record is None else record.device,
        "threads": None if record is None else record.threads,
        "artifact_bytes": None if measured is None else measured.artifact_bytes,
        "latency_median_ms": None if latency is None else latency.median_ms,
        "latency_p90_ms": None if latency is None else latency.p90_ms,
        "latency_min_ms": None if latency is None else latency.min_ms,
        "latency_max_ms": None if latency is None else latency.max_ms,
        "peak_bytes": None if measured is None else measured.peak_bytes,
    }


def _labels(point: Point) -> dict[str, str | int | float | None]:
    found: dict[str, str | int | float | None] = {}
    for label in point.scores.labels:
        found[f"dice of {label.label}"] = label.dice
        found[f"dice_std of {label.label}"] = label.dice_std
        found[f"iou of {label.label}"] = label.iou
    return found
