"""Measure how long the phases of developing a capture take."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import perf_counter_ns
from typing import TypeVar

__all__ = ["Clock"]

Item = TypeVar("Item")


@dataclass
class Clock:
    """Measures phases and stores their milliseconds by name."""

    timings_ms: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Measure the block of a `with` statement."""
        begun = perf_counter_ns()
        yield
        self._add(name, perf_counter_ns() - begun)

    def each(self, name: str, items: Iterable[Item]) -> Iterator[Item]:
        """Yield items, and measure how long each takes to be computed."""
        iterator = iter(items)
        while True:
            begun = perf_counter_ns()
            try:
                item = next(iterator)
            except StopIteration:
                return
            finally:
                self._add(name, perf_counter_ns() - begun)
            yield item

    def _add(self, name: str, nanoseconds: int) -> None:
        known = self.timings_ms.get(name, 0.0)
        self.timings_ms[name] = round(known + nanoseconds / 1e6, 3)
