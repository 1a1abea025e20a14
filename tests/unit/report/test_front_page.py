"""The page of a sweep: complete, self-contained, and its axes contain every dot."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_pipeline.report.chart import Chart, Dot, Series, ticks
from edge_pipeline.report.front_page import FrontPage, render_front


def _page(*series, **changes):
    chart = Chart("costs", "ms", "Dice", series or [Series("front", [Dot(1, 0.5, "phi 0.1")])])
    fields = {"title": "a title", "charts": [chart], "table": [], "facts": ["a fact"]}
    return render_front(FrontPage(**(fields | changes)))


@given(st.floats(-1e6, 1e6), st.floats(0, 1e6))
def test_ticks_contain_the_values_and_are_few(low, width):
    found = ticks(low, low + width)
    assert found[0] <= low + 1e-6 * max(abs(low), width)
    assert found[-1] >= low + width - 1e-6 * max(abs(low), width)
    assert 2 <= len(found) <= 13
    assert found == sorted(set(found))


@pytest.mark.parametrize(
    ("ends", "expected"),
    [((0, 1), [0, 0.2, 0.4, 0.6, 0.8, 1]), ((0.6, 0.95), [0.6, 0.7, 0.8, 0.9, 1.0])],
)
def test_ticks_are_round(ends, expected):
    assert ticks(*ends) == expected


NUMBERS = st.floats(0, 1e9)


@given(st.lists(st.tuples(NUMBERS, st.floats(0, 1)), min_size=1, max_size=5))
def test_dots_are_inside_the_axes(values):
    html = _page(Series("front", [Dot(x, y, "t", 0.0, 1.0) for x, y in values], "steps"))
    for cx, cy in re.findall(r'circle cx="([\d.e+-]+)" cy="([\d.e+-]+)"', html):
        assert 57 <= float(cx) <= 615
        assert 11 <= float(cy) <= 313


def test_steps_do_not_interpolate():
    dots = [Dot(1, 0.1, ""), Dot(2, 0.5, ""), Dot(4, 0.6, "")]
    steps = Series("front", dots, "steps")
    assert steps.corners == [(1, 0.1), (2, 0.1), (2, 0.5), (4, 0.5), (4, 0.6)]
    assert Series("front", dots, "straight").corners == [(1, 0.1), (2, 0.5), (4, 0.6)]
    assert Series("front", dots).corners == []


def test_nothing_is_fetched_and_names_cannot_become_markup():
    evil = "<script>alert(1)</script>"
    html = _page(
        Series(evil, [Dot(1, 0.5, evil)]), title=evil, facts=[evil], table=[{evil: evil, "b": None}]
    )
    assert "<script" not in html
    assert "http" not in html
    assert "url(" not in html


def test_bars_and_tables_have_their_values():
    html = _page(
        Series("front", [Dot(1, 0.5, "phi 0.1", 0.4, 0.6, 0.9, 1.4)]),
        table=[{"phi": 0.1, "value": 12345678, "device": None}],
    )
    assert html.count('class="bar"') == 2
    for text in (">0.1<", ">12,345,678<", "<title>phi 0.1</title>", "a fact"):
        assert text in html
