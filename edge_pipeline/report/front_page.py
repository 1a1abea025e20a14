"""The page of a sweep: charts of scores and costs, one HTML file that works offline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edge_pipeline.report.chart import Chart, drawn
from edge_pipeline.report.rendering import rendered

__all__ = ["FrontPage", "render_front"]


@dataclass(frozen=True)
class FrontPage:
    """Content of the page.

    Attributes:
        title: Title.
        charts: Charts, in order.
        table: Rows of the table below the charts, with equal keys.
        facts: Sentences on the data and the method.
    """

    title: str
    charts: Sequence[Chart]
    table: Sequence[Mapping[str, str | int | float | None]]
    facts: Sequence[str]


def render_front(page: FrontPage) -> str:
    """Return the page as HTML text that contains its charts.

    Args:
        page: Content of the page.
    """
    return rendered("front.html", {"figure": _figure}, page=page, charts=drawn(page.charts))


def _figure(value: str | float | None) -> str:
    """Return a value of a table as text, numbers with four significant digits."""
    if value is None:
        return ""
    return (
        value if isinstance(value, str) else f"{value:.4g}" if abs(value) < 1e4 else f"{value:,.0f}"
    )
