"""The report's page: one HTML file that works offline, and is complete without JavaScript."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from typing import Any

from markupsafe import Markup  # a part of Jinja2

from edge_pipeline.record import Record
from edge_pipeline.report.chart import COLOURS, drawn
from edge_pipeline.report.measured.bars import instruction_bars, memory_bars
from edge_pipeline.report.measured.charts import roofline_chart, sustained_charts
from edge_pipeline.report.measured.content import Content, content_of
from edge_pipeline.report.measured.fronts import quality_charts
from edge_pipeline.report.measured.strips import ratio_strips, sample_strips
from edge_pipeline.report.measured.tables import (
    emulated_table,
    how,
    latency_table,
    machine_table,
    memory_table,
    quality_table,
    side_table,
    sustained_table,
)
from edge_pipeline.report.measured.view import FACETS, Row, SessionView, sessions_of
from edge_pipeline.report.rendering import rendered

__all__ = ["page_of"]


def page_of(records: Sequence[Record]) -> str:
    """Return the page of records as HTML text.

    Args:
        records: Records of any sessions; at least one.
    """
    content = content_of(records)
    devices = list(dict.fromkeys(row.device for row in content.rows))
    return rendered(
        "records.html",
        {},
        content=content,
        sessions=_sessions(content),
        sides=_sides(content),
        colour=lambda row: f"s{devices.index(row.device) % COLOURS}",
        choices=_choices(content),
        script=Markup(_script()),  # noqa: S704 - a file of this package
        memory=memory_bars(content.timed),
        memory_table=memory_table(content.timed),
        quality=drawn(quality_charts(content.timed)),
        quality_table=quality_table(content.rows),
        sustained=drawn(sustained_charts(content.sustained)),
        sustained_table=sustained_table(content.sustained),
        layers=[(view, _roofline(view.row)) for view in content.layers()],
        emulated=instruction_bars(content.emulated),
        emulated_table=emulated_table(content.emulated),
        machines=machine_table([*content.sessions, *_emulated_sessions(content)]),
    )


def _sessions(content: Content) -> list[dict[str, Any]]:
    return [
        {
            "view": session,
            "setting": content.setting(session),
            "warnings": content.warnings(session),
            "strips": sample_strips(session.rows, _label),
            "ratios": ratio_strips(session),
            "table": latency_table(session),
        }
        for session in content.sessions
    ]


def _sides(content: Content) -> list[dict[str, Any]]:
    return [
        {
            "title": group.title,
            "strips": sample_strips(group.rows, lambda row: f"{row.device} · {how(row)}"),
            "table": side_table(group.rows),
        }
        for group in content.groups
    ]


def _label(row: Row) -> str:
    record = row.record
    return f"{row.name} · {record.backend} {record.precision} {record.filters}"


def _choices(content: Content) -> dict[str, list[str]]:
    """Return the values of each property that has several."""
    values = {
        facet: list(dict.fromkeys(row.facets[facet] for row in content.rows)) for facet in FACETS
    }
    return {facet: found for facet, found in values.items() if len(found) > 1}


def _roofline(row: Row) -> tuple[Any, ...] | None:
    """Return a row's roofline for the template; None if it has none."""
    chart = None if row.record.emulated else roofline_chart(row)
    return None if chart is None else drawn([chart])[0]


def _emulated_sessions(content: Content) -> list[SessionView]:
    return sessions_of(content.emulated)


def _script() -> str:
    """Return the JavaScript of the filters."""
    folder = files("edge_pipeline.report") / "templates"
    return (folder / "filters.js").read_text(encoding="utf-8")
