"""Records as a report shows them: names, marks, energy, and the sessions they belong to."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from edge_pipeline.harness.statistics import Ratio, ratio_of
from edge_pipeline.record import Record
from edge_pipeline.report.words import shape

__all__ = ["FACETS", "Row", "SessionView", "once", "ratio_text", "rows_of", "sessions_of"]

FACETS = ("device", "network", "backend", "precision")
"""Properties by which the page filters rows and series."""

# A larger share of preempted runs than this is a mark.
_MOST_PREEMPTED = 0.1
# A program that compiles alone is called this, so it needs no mention.
_ONLY_PROGRAM = "forward"


@dataclass(frozen=True)
class Row:
    """A record and its name in the report.

    Attributes:
        record: The record.
        name: Artifact, program and fixed values; equal only for measurements of the same program.
    """

    record: Record
    name: str

    @property
    def device(self) -> str:
        """Model of the device and its name for `bench`."""
        environment = self.record.environment
        model = environment.accelerator_model_name or environment.system_name
        return f"{model} ({self.record.device})"

    @property
    def facets(self) -> dict[str, str]:
        """Value of each property of `FACETS`."""
        record = self.record
        values = (self.device, record.model, record.backend, record.precision)
        return dict(zip(FACETS, values, strict=True))

    @property
    def is_wrong(self) -> bool:
        """Whether the outputs are wrong."""
        return self.record.verification.result == "failed"

    @property
    def is_disturbed(self) -> bool:
        """Whether the device throttled, or the times were not stable after the warm-up."""
        return bool(self.record.throttled) or self.record.warmup_stable is False

    @property
    def marks(self) -> list[str]:
        """Reasons to doubt the figures, from the worst on."""
        record = self.record
        reasons = {
            "WRONG OUTPUTS": self.is_wrong,
            "throttled": bool(record.throttled),
            "unstable": record.warmup_stable is False,
            f"{record.preempted_runs} runs preempted": (
                record.preempted_runs > _MOST_PREEMPTED * record.num_runs
            ),
            "unverified": record.verification.result == "not_run",
        }
        return [reason for reason, holds in reasons.items() if holds]

    @property
    def phi(self) -> float | None:
        """The fixed value phi; None without one."""
        phi = self.record.fixed.get("phi")
        return float(phi) if isinstance(phi, int | float) else None

    @property
    def input(self) -> str:
        """Shape of the first input without the batch size."""
        return shape(next(iter(self.record.input_shapes.values()), ())[1:])

    @property
    def energy_mj(self) -> float | None:
        """Energy of a run in millijoules: power at the end of the runs times their mean time.

        It is that of the whole device; None if the power was not read, or if the device was
        charging, so that the battery's power is not the device's.
        """
        after, latency = self.record.sensors_after, self.record.latency
        if after is None or after.power_w is None or latency is None:
            return None
        return None if after.charging or after.power_w <= 0 else after.power_w * latency.avg_ms


@dataclass(frozen=True)
class SessionView:
    """Rows that were measured in the same interleaved rounds; at least one."""

    rows: tuple[Row, ...]

    @property
    def base(self) -> Row | None:
        """Row that ratios refer to: the first one with right outputs; None if there is none."""
        timed = [row for row in self.rows if row.record.samples_ms and not row.is_wrong]
        return timed[0] if timed else None

    def ratio(self, row: Row) -> Ratio | None:
        """Return the time of a row divided by that of the base; None without rounds of both."""
        base = self.base
        if base is None or base is row or len(self.rows) < 2:
            return None
        first, second = row.record.samples_ms, base.record.samples_ms
        if len(first) != len(second) or not first or not min(*first, *second) > 0:
            return None
        return ratio_of(first, second)


def rows_of(records: Sequence[Record]) -> list[Row]:
    """Return the rows of records, in order, with the shortest names that tell artifacts apart."""
    names = _short({record.artifact for record in records})
    return [Row(record, _name(record, names[record.artifact])) for record in records]


def ratio_text(ratio: Ratio) -> str:
    """Return a ratio and its interval as text."""
    digits = 3 if ratio.high < 10 else 1
    return f"{ratio.value:.{digits}f} ({ratio.low:.{digits}f} to {ratio.high:.{digits}f})"


def once(rows: Iterable[Row], key: Callable[[Row], Hashable]) -> list[Row]:
    """Return one row for each key: the last one that neither throttled nor was unstable, if any.

    Args:
        rows: Rows, of which some repeat a measurement.
        key: Function of a row that is equal for repeated measurements.
    """
    found: dict[Hashable, Row] = {}
    for row in rows:
        before = found.get(key(row))
        if before is None or not row.is_disturbed or before.is_disturbed:
            found[key(row)] = row
    return list(found.values())


def sessions_of(rows: Sequence[Row]) -> list[SessionView]:
    """Return the sessions in the order of their first rows."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row.record.session, []).append(row)
    return [SessionView(tuple(group)) for group in found.values()]


def _name(record: Record, artifact: str) -> str:
    program = "" if record.program == _ONLY_PROGRAM else f" {record.program}"
    values = ", ".join(
        f"{key} {value:g}" if isinstance(value, float) else f"{key} {value}"
        for key, value in record.fixed.items()
    )
    return f"{artifact}{program}" + (f", {values}" if values else "")


def _short(paths: set[str]) -> dict[str, str]:
    """Return the shortest end of each path that is no other path's; at least its last part.

    The folder `artifact` of a trained model is called by the model's name.
    """
    parts = {path: [p for p in PurePosixPath(path).parts if p != "/"] or [path] for path in paths}
    parts = {
        path: own[:-1] if own[-1] == "artifact" and len(own) > 1 else own
        for path, own in parts.items()
    }
    names = {}
    for path, own in parts.items():
        others = [other for key, other in parts.items() if key != path]
        lengths = range(1, len(own) + 1)
        enough = (n for n in lengths if all(other[-n:] != own[-n:] for other in others))
        names[path] = "/".join(own[-next(enough, len(own)) :])
    return names
