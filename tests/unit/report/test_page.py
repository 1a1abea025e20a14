"""The demo's page: complete, self-contained, and safe with any name."""

import io
import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from edge_pipeline.report.chart import Chart, Dot, Series
from edge_pipeline.report.page import Accuracy, DemoPage, Picture, Step, _round_up, render
from tests.fakes.records import make_record


def _picture(kind="PNG", title="a picture"):
    buffer = io.BytesIO()
    Image.new("RGB", (4, 3), (200, 10, 10)).save(buffer, kind)
    return Picture(buffer.getvalue(), 4, 3, title, "a note")


def _page(**changes):
    fields = {
        "capture": "chart.dng",
        "picture": _picture("JPEG", "whole"),
        "crops": [_picture(title="ours"), _picture(title="theirs")],
        "masks": [_picture(title="labels")],
        "costs": Chart("Cost", "MMAC", "Dice", [Series("phi", [Dot(1.0, 0.9, "phi 0.3")])]),
        "records": [make_record("onnx dynamic"), make_record("split", program="apply_filters")],
        "accuracies": [Accuracy("onnx dynamic", "forward", 2.3e-6, 101.5, 1e-4)],
        "steps": [Step("edge-pipeline bench a", 12.34)],
    }
    return DemoPage(**(fields | changes))


class _Tags(HTMLParser):
    """Collects tags with their attributes, and checks that they nest."""

    void = frozenset({"meta", "img"})

    def __init__(self):
        super().__init__()
        self.open, self.seen = [], []

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))
        if tag not in self.void:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def _tags(html):
    parser = _Tags()
    parser.feed(html)
    assert parser.open == []
    return parser.seen


def test_nothing_is_fetched():
    html = render(_page())
    for tag, attributes in _tags(html):
        assert tag not in {"link", "script", "iframe"}
        assert attributes.get("src", "data:").startswith("data:")
    assert "http" not in html
    assert "url(" not in html


def test_every_figure_is_there():
    html = render(_page())
    for figure in ("23.4", "34.5", "10.1", "12.2", "14.3", "9.40", "20.5", "11.6", "50.0", "1.00"):
        assert f">{figure}<" in html
    for text in ("2.3e-06", "101.5", "within", "Fake CPU", "pinned to CPU 2", "apply_filters"):
        assert text in html
    assert "edge-pipeline bench a" in html
    assert html.count("<circle") == 60 + 1  # runs, and values of phi


def test_pictures_are_inside():
    sources = [a["src"][:22] for tag, a in _tags(render(_page())) if tag == "img"]
    assert sources == ["data:image/jpeg;base64", *["data:image/png;base64,"] * 3]


def test_a_file_that_is_no_picture_is_refused():
    bad = Picture(b"GIF89a", 1, 1, "odd")
    with pytest.raises(ValueError, match="odd"):
        render(_page(picture=bad))


def test_outside_and_warnings_are_told():
    html = render(
        _page(
            accuracies=[Accuracy("a", "forward", 2e-4, 60.0, 1e-4)],
            records=[make_record(warnings=["it was warm"], preempted_runs=4)],
        )
    )
    assert ">outside<" in html
    assert "it was warm" in html
    assert "4 of 30 timed runs were preempted" in html


def test_names_cannot_become_markup():
    evil = "<script>alert(1)</script>"
    html = render(_page(capture=evil, records=[make_record(evil)], steps=[Step(evil, 1)]))
    assert "<script" not in html
    _tags(html)


@given(st.floats(0.001, 1e6))
def test_the_axis_holds_the_slowest_run_and_wastes_little(value):
    end = _round_up(value)
    assert end >= value
    if value > 0.1:
        assert end <= 2 * value


def test_dots_stand_within_the_strip():
    html = render(_page(records=[make_record(samples_ms=[0.5, 3.0, 299.9] * 10)]))
    places = [float(x) for x in re.findall(r'circle cx="([\d.]+)%"', html)]
    assert len(places) == 30
    assert max(places) <= 100
    assert min(places) > 0
