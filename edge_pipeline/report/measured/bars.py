"""Bars: memory and instructions of programs, on one axis that starts at 0."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edge_pipeline.report.measured.view import Row
from edge_pipeline.report.words import count, mib

__all__ = ["Bar", "instruction_bars", "memory_bars"]

_WIDTH = 1000


@dataclass(frozen=True)
class Bar:
    """A bar: its row, its value as text, and the widths of its parts of 1000, from the left."""

    row: Row
    text: str
    parts: tuple[float, ...]


def memory_bars(rows: Sequence[Row]) -> list[Bar]:
    """Return the peak memory of rows, in parts for the program and its runtime where known."""
    known = [(row, row.record.memory) for row in rows]
    measured = [(row, memory.peak_bytes) for row, memory in known if memory is not None]
    most = max((peak for _, peak in measured), default=0)
    bars = []
    for row, peak in measured:
        detail = row.record.memory_detail
        parts = (peak,) if detail is None else (detail.program_bytes, detail.runtime_bytes)
        bars.append(Bar(row, f"{mib(peak)} MiB", _widths(parts, most)))
    return bars


def instruction_bars(rows: Sequence[Row]) -> list[Bar]:
    """Return the instructions of a run of rows on emulated devices."""
    known = [(row, row.record.instructions) for row in rows]
    counted = [(row, found.median) for row, found in known if found is not None]
    most = max((number for _, number in counted), default=0)
    return [Bar(row, count(number), _widths((number,), most)) for row, number in counted]


def _widths(parts: Sequence[int], most: int) -> tuple[float, ...]:
    return tuple(round(_WIDTH * part / most, 1) if most else 0.0 for part in parts)
