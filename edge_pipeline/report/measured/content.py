"""Content of a report, the same for its page and for Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edge_pipeline.record import Record
from edge_pipeline.report.measured.layer_tables import layer_table, operator_table
from edge_pipeline.report.measured.tables import Table
from edge_pipeline.report.measured.view import Row, SessionView, once, rows_of, sessions_of
from edge_pipeline.report.words import count, setting_of, shape

__all__ = ["Content", "Group", "LayerView", "content_of"]


@dataclass(frozen=True)
class Group:
    """Rows of one network with the same program, values and input; the fastest first."""

    title: str
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class LayerView:
    """Work of a program, layer by layer, and its operators.

    Attributes:
        title: Name of the program, and of the device if anything of it is shown.
        row: The row.
        layers: Table of the layers; None if they were not counted.
        operators: Table of the operators; None if they were not profiled.
    """

    title: str
    row: Row
    layers: Table | None
    operators: Table | None


@dataclass(frozen=True)
class Content:
    """Rows of a report, sorted into its sections.

    Attributes:
        rows: All rows, in the order of the records.
        sessions: Sessions on devices that are not emulated.
        emulated: Rows of emulated devices.
        groups: Networks that ran on several devices.
        sustained: Rows with sustained runs.
        layered: Rows with layers: one for each program, and for each device whose peaks or shares
            of time are known.
    """

    rows: tuple[Row, ...]
    sessions: tuple[SessionView, ...]
    emulated: tuple[Row, ...]
    groups: tuple[Group, ...]
    sustained: tuple[Row, ...]
    layered: tuple[Row, ...]

    @property
    def timed(self) -> list[Row]:
        """Rows of devices that are not emulated."""
        return [row for row in self.rows if not row.record.emulated]

    @property
    def wrong(self) -> list[Row]:
        """Rows whose outputs are wrong."""
        return [row for row in self.rows if row.is_wrong]

    @property
    def summary(self) -> str:
        """Sentence on the measurements."""
        devices = dict.fromkeys(row.device for row in self.rows)
        dates = sorted(f"{row.record.measured:%Y-%m-%d}" for row in self.rows)
        when = dates[0] if dates[0] == dates[-1] else f"{dates[0]} to {dates[-1]}"
        sessions = len({row.record.session for row in self.rows})
        return (
            f"{_number(len(self.rows), 'measurement')} in {_number(sessions, 'session')} on "
            f"{_number(len(devices), 'device')}, {when}: {', '.join(devices)}."
        )

    def setting(self, session: SessionView) -> str:
        """Return the setting of a session."""
        return setting_of(session.rows[0].record)

    def warnings(self, session: SessionView) -> list[str]:
        """Return what disturbed a session as a whole, each fact once; rows have marks."""
        records = [row.record for row in session.rows]
        found = list(dict.fromkeys(text for record in records for text in record.warnings))
        preempted = sum(record.preempted_runs for record in records)
        if preempted:
            runs = sum(record.num_runs for record in records)
            found.append(f"{preempted} of {runs} timed runs were preempted by another process")
        return found

    def layers(self) -> list[LayerView]:
        """Return the layers and the operators of programs."""
        return [
            LayerView(
                f"{row.name}, {row.record.backend} {row.record.precision}"
                + (f" on {row.device}" if _is_timed_by_layer(row) else ""),
                row,
                layer_table(row) if row.record.layers else None,
                operator_table(row) if row.record.operators else None,
            )
            for row in self.layered
        ]


def content_of(records: Sequence[Record]) -> Content:
    """Return the content of a report.

    Args:
        records: Records of any sessions; at least one.
    """
    rows = rows_of(records)
    timed = [row for row in rows if not row.record.emulated]
    return Content(
        rows=tuple(rows),
        sessions=tuple(sessions_of(timed)),
        emulated=tuple(row for row in rows if row.record.emulated),
        groups=tuple(_groups(timed)),
        sustained=tuple(row for row in timed if row.record.sustained is not None),
        layered=tuple(
            sorted(
                once((row for row in rows if row.record.layers or row.record.operators), _work),
                key=lambda row: (row.record.peaks is None, not _is_timed_by_layer(row)),
            )
        ),
    )


def _is_timed_by_layer(row: Row) -> bool:
    record = row.record
    shares = [layer.share for layer in record.layers if layer.share is not None]
    return not record.emulated and bool(record.peaks or record.operators or shares)


def _work(row: Row) -> tuple[object, ...]:
    """Return values that are equal for rows with the same layers at the same speed."""
    record = row.record
    work = (record.artifact_digest, record.program, tuple(record.input_shapes.items()))
    return (*work, row.device, record.threads) if _is_timed_by_layer(row) else work


def _groups(rows: Sequence[Row]) -> list[Group]:
    """Return the networks that ran on several devices; a repeated measurement counts once."""
    found: dict[tuple[object, ...], list[Row]] = {}
    for row in once((row for row in rows if row.record.latency is not None), _way):
        found.setdefault(_network(row), []).append(row)
    several = [group for group in found.values() if len({row.device for row in group}) > 1]
    return [Group(_title(group[0]), tuple(sorted(group, key=_order))) for group in several]


def _network(row: Row) -> tuple[object, ...]:
    record = row.record
    fixed, shapes = tuple(sorted(record.fixed.items())), tuple(record.input_shapes.items())
    return record.model, record.program, fixed, shapes


def _way(row: Row) -> tuple[object, ...]:
    record = row.record
    return (
        _network(row), row.device, record.backend, record.precision, record.filters,
        record.threads, record.runner,
    )  # fmt: skip


def _order(row: Row) -> tuple[bool, float]:
    latency = row.record.latency
    return row.is_wrong, 0.0 if latency is None else latency.median_ms


def _title(row: Row) -> str:
    record = row.record
    words = [record.model]
    words += [] if record.program == "forward" else [record.program]
    words += [f"{key} {value}" for key, value in record.fixed.items()]
    words.append(shape(next(iter(record.input_shapes.values()), ())[1:]))
    if record.macs is not None:
        words.append(f"{count(record.macs)} MACs")
    return ", ".join(words)


def _number(value: int, noun: str) -> str:
    return f"{value} {noun}{'' if value == 1 else 's'}"
