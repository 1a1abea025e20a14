"""Measure how long the phases of developing a capture take."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import perf_counter_ns

__all__ = ["Clock"]


@dataclass
class Clock:
    """Measures phases and stores their milliseconds by name."""

    timings_ms: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Measure the block of a `with` statement."""
        begun = perf_counter_ns()
        yield
        self.timings_ms[name] = round((perf_counter_ns() - begun) / 1e6, 3)
