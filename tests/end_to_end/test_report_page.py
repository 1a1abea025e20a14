"""The report's page in a real browser: it draws every plot, filters, and has no error."""

import io

import pytest
from PIL import Image

from edge_pipeline.report.measured.page import page_of
from edge_pipeline.report.measured.view import rows_of
from tests.browser import CHROMIUM, opened
from tests.fakes.measurements import many_records

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")

PIXEL = "Google Pixel 8 (adb:3A161FDJH000Z)"
WIDTHS = {"desktop": 1280, "phone": 390}
# Boxes of plots whose parts are not visible: of the plot itself, or of what it draws.
EMPTY = """
[...document.querySelectorAll('main svg')].filter((svg) => {
  const box = svg.getBoundingClientRect();
  const marks = [...svg.querySelectorAll('circle, polyline, path, rect, .mid')];
  const drawn = marks.some((one) => { const b = one.getBoundingClientRect();
                                      return b.width + b.height > 0; });
  return !(box.width > 100 && box.height > 10 && drawn);
}).map((svg) => svg.getAttribute('aria-label'))
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    (folder / "report.html").write_text(page_of(many_records()), encoding="utf-8")
    with opened(folder / "profile") as found:
        found.show(1280)
        found.go(folder / "report.html")
        found.run("document.querySelectorAll('details').forEach((one) => { one.open = true })")
        yield found
        assert found.complaints == []


@pytest.fixture(autouse=True)
def _all_shown(page):
    page.show(1280)
    page.run("document.getElementById('all').click()")


def visible(page, selector):
    """The number of elements that have a box."""
    shown = "filter((one) => one.getClientRects().length).length"
    return page.run(f"[...document.querySelectorAll({selector!r})].{shown}")


def choose(page, name, value):
    box = f'document.querySelector(\'#filters input[name="{name}"][value="{value}"]\')'
    page.run(f"{box}.click()")


def test_nothing_but_the_file_is_requested(page):
    assert [address for address in page.requests if not address.startswith("file:")] == []
    assert len(page.requests) == 1


@pytest.mark.parametrize("name", WIDTHS)
def test_every_plot_is_drawn_and_the_page_is_no_wider_than_the_window(page, name):
    page.show(WIDTHS[name])
    assert page.run("document.querySelectorAll('main svg.plot').length") >= 20
    assert page.run(EMPTY) == []
    assert page.run("document.documentElement.scrollWidth") == WIDTHS[name]


def test_the_check_sees_a_plot_that_is_not_drawn(page):
    page.run("document.querySelector('main svg.plot').style.height = 0")
    assert len(page.run(EMPTY)) == 1
    page.run("document.querySelector('main svg.plot').style.height = ''")


def test_labels_of_axes_do_not_overlap_on_a_phone(page):
    page.show(WIDTHS["phone"])
    overlaps = """
[...document.querySelectorAll('main svg.plot')].filter((svg) => {
  const boxes = [...svg.querySelectorAll('text')].filter((one) => one.getClientRects().length)
    .map((one) => one.getBoundingClientRect());
  return boxes.some((a, i) => boxes.some((b, j) => i < j && a.left < b.right && b.left < a.right
                                                  && a.top < b.bottom - 0.3 * b.height
                                                  && b.top < a.bottom - 0.3 * a.height));
}).map((svg) => svg.getAttribute('aria-label'))
"""
    assert page.run(overlaps) == []


def test_filters_hide_the_rest_and_show_all_again(page):
    rows = rows_of(many_records())
    before = {kind: visible(page, kind) for kind in ("main tr", "main g", "main .strip", "main h3")}
    assert page.run("document.getElementById('shown').textContent") == (
        f"All {len(rows)} measurements"
    )
    choose(page, "device", PIXEL)
    own = [row for row in rows if row.device == PIXEL]
    assert page.run("document.getElementById('shown').textContent") == (
        f"{len(own)} of {len(rows)} measurements"
    )
    assert visible(page, f'main tr[data-device="{PIXEL}"]') > len(own)
    assert visible(page, f'main [data-device]:not([data-device="{PIXEL}"])') == 0
    assert visible(page, "#emulated") == 0
    assert visible(page, "#latency") == 1
    assert visible(page, "#latency .session") == 2
    choose(page, "precision", "int8")
    assert visible(page, "#latency .session") == 1
    assert visible(page, "#latency tbody tr") == 1
    assert visible(page, "#sustained") == 0
    page.run("document.getElementById('all').click()")
    assert {kind: visible(page, kind) for kind in before} == before
    assert visible(page, "#all") == 0


def test_several_values_of_a_property_are_shown_together(page):
    choose(page, "backend", "litert")
    litert = visible(page, "main tbody tr")
    choose(page, "backend", "onnx")
    assert visible(page, "main tbody tr") > litert
    choose(page, "network", "hyperconv_unet")
    choose(page, "device", PIXEL)
    # No phone ran this network: only the phone's machine is left.
    assert visible(page, "main section") == 1
    assert visible(page, "#machines") == 1


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("name", WIDTHS)
def test_screenshots_have_colours_of_the_scheme(page, name, dark, tmp_path):
    page.show(WIDTHS[name], dark=dark)
    image = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    assert image.width == WIDTHS[name]
    assert image.height > 3000
    assert image.getpixel((2, 2)) == ((22, 24, 27) if dark else (255, 255, 255))
    small = image.resize((image.width // 4, image.height // 4))
    colours = small.getcolors(1 << 20)
    assert colours is not None
    # Red of the wrong outputs, and the colour of the first device.
    red = [n for n, (r, g, b) in colours if r > g + 60 and r > b + 60]
    blue = [n for n, (r, g, b) in colours if b > r + 60]
    assert sum(red) > 50
    assert sum(blue) > 50


def test_the_page_is_complete_without_script(page, tmp_path):
    (tmp_path / "plain.html").write_text(page_of(many_records()), encoding="utf-8")
    with opened(tmp_path / "profile") as plain:
        plain.show(1280)
        plain.call("Emulation.setScriptExecutionDisabled", value=True)
        plain.go(tmp_path / "plain.html")
        root = plain.call("DOM.getDocument")["root"]["nodeId"]
        find = {"nodeId": root, "selector": "main tr"}
        rows = plain.call("DOM.querySelectorAll", **find)["nodeIds"]
        boxes = [plain.call("DOM.getBoxModel", nodeId=one)["model"] for one in rows[:20]]
        assert all(box["height"] > 10 and box["width"] > 500 for box in boxes)
        form = plain.call("DOM.querySelector", nodeId=root, selector="#filters[hidden]")
        assert form["nodeId"]
