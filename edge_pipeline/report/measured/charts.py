"""Charts of sustained runs and rooflines."""

from __future__ import annotations

import math
from collections.abc import Sequence

from edge_pipeline.harness.roofline import Speed, attainable_gflops, bandwidth_gb_s, speeds_of
from edge_pipeline.record import Peaks
from edge_pipeline.report.chart import Chart, Dot, Series
from edge_pipeline.report.measured.view import Row
from edge_pipeline.report.words import ms

__all__ = ["roofline_chart", "sustained_charts"]


def sustained_charts(rows: Sequence[Row]) -> list[Chart]:
    """Return the charts of the times and the temperatures of sustained runs."""
    times, heat = [], []
    for colour, row in enumerate(row for row in rows if row.record.sustained is not None):
        run = row.record.sustained
        if run is None or not run.medians_ms:
            continue
        name = f"{row.name}, {row.record.backend}, {row.device}"
        slower = [run.block_s * (k + 0.5) / 60 for k in range(len(run.medians_ms))]
        dots = [
            Dot(x, y, f"{name}: {ms(y)} ms after {x:.1f} min")
            for x, y in zip(slower, run.medians_ms, strict=True)
        ]
        times.append(Series(name, dots, "straight", colour=colour, facets=row.facets))
        # Blocks whose temperature could not be read have none, so the last ones are shown.
        known = list(zip(slower[-len(run.temperatures_c) :], run.temperatures_c, strict=False))
        dots = [Dot(x, y, f"{name}: {y:.1f} C after {x:.1f} min") for x, y in known]
        if run.temperatures_c and dots:
            heat.append(Series(name, dots, "straight", colour=colour, facets=row.facets))
    charts = []
    if times:
        note = "Each dot is the median of the runs of a block of equal time."
        charts.append(
            Chart("Time of a run", "minutes of runs without pause", "median, ms", times, note)
        )
    if heat:
        note = "The hottest sensor at the end of each block."
        charts.append(
            Chart("Temperature", "minutes of runs without pause", "degrees Celsius", heat, note)
        )
    return charts


def roofline_chart(row: Row) -> Chart | None:
    """Return the roofline of a record, or the measured speeds alone; None if it has neither."""
    speeds = [speed for speed in speeds_of(row.record) if 0 < speed.intensity < math.inf]
    peaks = row.record.peaks
    measured = [speed for speed in speeds if speed.gflops]
    if not speeds or (peaks is None and not measured):
        return None
    series = []
    if measured:
        dots = [_dot(speed, speed.gflops or 0.0) for speed in measured]
        series.append(Series("measured, by layer", dots, colour=0))
    whole = _whole(row, speeds)
    if whole is not None:
        series.append(Series("measured, all layers", [whole], colour=2))
    if peaks is not None:
        dots = [_dot(speed, attainable_gflops(speed.intensity, peaks)) for speed in speeds]
        series.append(Series("attainable, by layer", dots, colour=1, mark="hollow"))
        reach = [speed.intensity for speed in speeds]
        series.append(_roof(peaks, min(reach), max(reach)))
    note = "" if peaks is None else f"Peaks: {_sentence(peaks)}."
    return Chart(
        "Roofline",
        "FLOP per byte of weights and activations",
        "GFLOP/s",
        series,
        note,
        "xy",
    )


def _sentence(peaks: Peaks) -> str:
    return (
        f"{peaks.gflops:g} GFLOP/s in fp32, {bandwidth_gb_s(peaks):g} GB/s of reads and writes "
        f"({peaks.how})"
    )


def _roof(peaks: Peaks, low: float, high: float) -> Series:
    ridge = peaks.gflops / bandwidth_gb_s(peaks)
    ends = sorted({min(low, ridge) / 1.5, ridge, max(high, ridge) * 1.5})
    dots = [Dot(x, attainable_gflops(x, peaks), "") for x in ends]
    return Series("roof", dots, "straight", faint=True, mark="none")


def _whole(row: Row, speeds: Sequence[Speed]) -> Dot | None:
    """Return the speed of the whole program at the intensity of its layers together."""
    latency = row.record.latency
    traffic = sum(s.layer.weight_bytes + s.layer.activation_bytes for s in speeds)
    if latency is None or not latency.median_ms or not traffic:
        return None
    flops = sum(speed.layer.flops for speed in speeds)
    gflops = flops / latency.median_ms / 1e6
    text = f"all layers: {gflops:.3g} GFLOP/s at {flops / traffic:.3g} FLOP per byte"
    return Dot(flops / traffic, gflops, text)


def _dot(speed: Speed, gflops: float) -> Dot:
    text = f"{speed.layer.name}: {gflops:.3g} GFLOP/s at {speed.intensity:.3g} FLOP per byte"
    return Dot(speed.intensity, gflops, text)
