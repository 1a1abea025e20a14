"""The report on measurements: complete, self-contained, and nothing wrong on a front."""

import csv
import io
import json
import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_pipeline.harness.statistics import ratio_of
from edge_pipeline.record import OperatorTime, Peaks, Sensors, Sustained, Verification
from edge_pipeline.report.chart import Axis, decades
from edge_pipeline.report.measured.bars import instruction_bars, memory_bars
from edge_pipeline.report.measured.charts import roofline_chart, sustained_charts
from edge_pipeline.report.measured.content import content_of
from edge_pipeline.report.measured.fronts import metric_of, quality_charts
from edge_pipeline.report.measured.layer_tables import operator_table
from edge_pipeline.report.measured.page import page_of
from edge_pipeline.report.measured.strips import ratio_strips, sample_strips
from edge_pipeline.report.measured.text import csv_of, markdown_of
from edge_pipeline.report.measured.view import once, rows_of, sessions_of
from tests.fakes.measurements import PHIS, many_records
from tests.fakes.records import make_record

MANY = many_records()
WRONG = Verification(result="failed", max_abs=1.0, complaint="too far")


class _Tags(HTMLParser):
    """Collects tags and text, and checks that tags nest."""

    void = frozenset({"meta", "input"})

    def __init__(self):
        super().__init__()
        self.open, self.seen, self.text = [], [], []

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))
        if tag not in self.void:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def _parsed(html):
    parser = _Tags()
    parser.feed(html)
    assert parser.open == []
    return parser


@pytest.fixture(scope="module")
def page():
    return page_of(MANY)


def test_the_page_is_well_formed_and_fetches_nothing(page):
    tags = _parsed(page).seen
    assert not [
        tag for tag, _ in tags if tag in {"link", "img", "iframe", "object", "use", "image"}
    ]
    assert not [attrs for _, attrs in tags if {"src", "srcset"} & attrs.keys()]
    assert all(a["href"].startswith("#") for tag, a in tags if tag == "a")
    assert "://" not in page
    assert "url(" not in page
    policy = next(a["content"] for tag, a in tags if a.get("http-equiv"))
    assert policy.startswith("default-src 'none'")


def test_links_of_the_page_lead_to_its_sections(page):
    tags = _parsed(page).seen
    links = {a["href"][1:] for tag, a in tags if tag == "a"}
    assert links == {a["id"] for tag, a in tags if tag == "section"}
    assert len(links) == 8


def test_the_page_is_small(page):
    assert len(page.encode()) < 25_000 + 15_000 * len(MANY)


def test_names_cannot_become_markup():
    evil = '"><script>alert(1)</script><i x="'
    record = make_record(
        evil, program=evil, model=evil, backend=evil, precision=evil, device=evil,
        warnings=[evil], quality={evil: 1.0}, session="1" * 32, fixed={"phi": evil},
    )  # fmt: skip
    parser = _parsed(page_of([record, *MANY]))
    assert [tag for tag, _ in parser.seen].count("script") == 1
    assert not [attrs for tag, attrs in parser.seen if tag == "i" and "x" in attrs]


@pytest.mark.parametrize("number", range(0, len(MANY), 5))
def test_any_record_alone_is_a_report(number):
    record = MANY[number]
    _parsed(page_of([record]))
    assert len(list(csv.DictReader(io.StringIO(csv_of([record]))))) == 1
    assert markdown_of([record]).startswith("# Measurements\n")


def test_latencies_ratios_and_marks_are_in_the_tables_without_script(page):
    text = "".join(_parsed(page).text)
    for record in MANY:
        if record.latency is not None:
            assert f"{record.latency.p99_ms:.3g}"[:3] in text
    assert "WRONG OUTPUTS" in text
    assert "throttled, unstable" in text
    second, first = MANY[1].samples_ms, MANY[0].samples_ms
    assert f"{ratio_of(second, first).value:.3f} (" in text


def test_filters_have_every_value_of_a_property_that_varies(page):
    boxes = [a for tag, a in _parsed(page).seen if tag == "input"]
    values = {(a["name"], a["value"]) for a in boxes}
    rows = rows_of(MANY)
    assert values == {item for row in rows for item in row.facets.items()}
    assert not [a for tag, a in _parsed(page_of(MANY[:1])).seen if tag == "input"]


def test_emulated_records_have_no_time_anywhere():
    emulated = [record for record in MANY if record.emulated]
    assert emulated
    for text in (page_of(emulated), markdown_of(emulated)):
        assert "Emulated devices" in text
        assert not re.search(r"\d ms\b", text)
        assert "Latency" not in text
    content = content_of(MANY)
    assert not [row for one in content.sessions for row in one.rows if row.record.emulated]
    assert not [row for one in content.groups for row in one.rows if row.record.emulated]
    assert not [bar for bar in memory_bars(content.timed) if bar.row.record.emulated]
    assert [bar.parts[-1] for bar in instruction_bars(content.emulated)][-1] == 1000


def _series(chart, mark):
    return [one for one in chart.series if one.mark == mark]


def test_wrong_programs_are_on_no_front_however_good_they_are():
    good = make_record("a", quality={"dice": 0.8}, macs=100, fixed={"phi": 0.5})
    best = make_record("b", quality={"dice": 0.9}, macs=10, fixed={"phi": 0.1}, verification=WRONG)
    for chart in quality_charts(rows_of([good, best])):
        assert [dot.y for dot in _series(chart, "dot")[0].dots] == [0.8]
        assert [dot.y for dot in _series(chart, "cross")[0].dots] == [0.9]
        assert _series(chart, "dot")[0].corners == [(_series(chart, "dot")[0].dots[0].x, 0.8)]


@given(st.lists(st.tuples(st.integers(1, 50), st.integers(0, 20)), min_size=2, max_size=12))
def test_fronts_have_the_points_that_none_dominates(points):
    records = [
        make_record(f"{k}", artifact_digest=f"{k:064}", macs=macs, quality={"delta_e": float(e)})
        for k, (macs, e) in enumerate(points)
    ]
    chart = quality_charts(rows_of(records))[0]
    found = sorted((round(dot.x * 1e6), dot.y) for dot in _series(chart, "dot")[0].dots)
    expected = sorted(
        (m, float(e))
        for m, e in points
        if not any(a <= m and b <= e and (a, b) != (m, e) for a, b in points)
    )
    assert found == expected


def test_fronts_of_devices_are_apart_and_of_all_phi():
    charts = {chart.title: chart for chart in quality_charts(rows_of(MANY)[:-4])}
    fronts = _series(charts["Dice and latency"], "dot")
    assert len({one.facets["device"] for one in fronts}) == len(fronts) == 4
    for one in fronts:
        assert [dot.y for dot in one.dots] == [0.914, 0.9205, 0.9226]
    assert charts["Dice and latency"].logarithmic == "x"
    assert "device" not in charts["Dice and multiply-accumulates"].series[0].facets


def test_unknown_scores_have_no_front():
    records = [make_record(str(k), quality={"taste": 1.0 + k}, macs=10 + k) for k in range(2)]
    chart = quality_charts(rows_of(records))[0]
    assert chart.series[0].line is None
    assert chart.y_label == "taste, as recorded"


@pytest.mark.parametrize(
    ("key", "label", "better"),
    [
        ("psnr_db", "PSNR, dB", 1),
        ("psnr_srgb_db_low", "PSNR in sRGB, dB (low)", 1),
        ("ssim", "SSIM", 1),
        ("delta_e", "Delta E", -1),
        ("delta_e_2000", "Delta E (2000)", -1),
        ("dice", "Dice", 1),
        ("miou", "mIoU", 1),
        ("my_score", "my score", None),
    ],
)
def test_scores_have_names_and_directions(key, label, better):
    found = metric_of(key)
    assert (found.label, found.better) == (label, better)


def test_a_repeated_measurement_counts_once_and_the_undisturbed_one():
    names = [("old", {}), ("hot", {"throttled": True}), ("new", {}), ("late", {"throttled": True})]
    rows = rows_of([make_record("a", session=name, **more) for name, more in names])
    assert [row.record.session for row in once(rows, lambda row: row.name)] == ["new"]
    assert [row.record.session for row in once(rows[1:2], lambda row: row.name)] == ["hot"]


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["/a/b", "/a/c"], ["b", "c"]),
        (["/x/m", "/y/m"], ["x/m", "y/m"]),
        (["pretrained/isp/artifact", "other/artifact"], ["isp", "other"]),
        (["artifact"], ["artifact"]),
        (["m", "/m"], ["m", "m"]),
        (["/"], ["/"]),
    ],
)
def test_names_are_the_shortest_that_differ(paths, names):
    assert [row.name for row in rows_of([make_record(path) for path in paths])] == names


def test_names_have_programs_and_values():
    record = make_record("a/b", program="apply_filters", fixed={"phi": 0.25, "mode": "x"})
    assert rows_of([record])[0].name == "b apply_filters, phi 0.25, mode x"


def test_ratios_refer_to_the_first_right_program_of_the_session():
    slow = make_record("slow", samples_ms=[20.0] * 30)
    records = [make_record("wrong", verification=WRONG), make_record("base"), slow]
    (session,) = sessions_of(rows_of(records))
    assert session.base is session.rows[1]
    ratio = session.ratio(session.rows[2])
    assert ratio is not None
    assert (ratio.value, ratio.low, ratio.high) == (2, 2, 2)
    assert session.ratio(session.rows[1]) is None
    strips = ratio_strips(session)
    assert [strip.name for strip in strips.strips] == ["wrong", "slow"]


def test_sessions_are_not_compared_by_ratio():
    rows = rows_of([make_record("a"), make_record("b", session="1" * 32)])
    assert [session.ratio(row) for session in sessions_of(rows) for row in session.rows] == [
        None
    ] * 2


def test_rounds_of_different_numbers_have_no_ratio():
    (session,) = sessions_of(rows_of([make_record("a"), make_record("b", samples_ms=[1.0] * 31)]))
    assert session.ratio(session.rows[1]) is None


@pytest.mark.parametrize(
    ("sensors", "energy"),
    [
        (None, None),
        (Sensors(), None),
        (Sensors(power_w=3.0, charging=True), None),
        (Sensors(power_w=3.0), 3.0 * 11.6),
    ],
)
def test_energy_is_power_times_time_where_the_power_is_the_devices(sensors, energy):
    (row,) = rows_of([make_record(sensors_after=sensors)])
    assert row.energy_mj == (None if energy is None else pytest.approx(energy))


@given(st.lists(st.floats(1e-3, 1e4), min_size=30, max_size=60))
def test_strips_are_inside_their_axis(samples):
    from edge_pipeline.harness.statistics import summarise

    record = make_record(samples_ms=samples, latency=summarise(samples))
    strips = sample_strips(rows_of([record]), lambda row: row.name)
    (strip,) = strips.strips
    assert 0 <= strip.low <= strip.middle <= strip.high <= strip.tail <= 1000
    numbers = re.findall(r"(-?[\d.]+) (-?[\d.]+)", strip.shape)
    assert all(-10 <= float(x) <= 1010 and -0.1 <= float(y) <= 40.1 for x, y in numbers)
    assert len(numbers) >= 4


@given(st.floats(1e-6, 1e6), st.floats(1, 1e6))
def test_logarithmic_axes_contain_their_values(low, ratio):
    values = decades(low, low * ratio)
    assert values == sorted(set(values))
    assert len(values) >= 2
    assert values[0] <= low * (1 + 1e-6)
    assert values[-1] >= low * ratio * (1 - 1e-6)
    axis = Axis(values, 0, 100, logarithmic=True)
    assert axis.at(values[0]) == 0
    assert axis.at(values[-1]) == 100
    assert axis.at(values[-1] * 10) == 100


def test_powers_of_ten_are_equally_far_apart():
    axis = Axis([1, 10, 100], 0, 100, logarithmic=True)
    assert [axis.at(value) for value in (1, 10, 100)] == [0, 50, 100]
    assert decades(1.5, 40) == [1, 2, 5, 10, 20, 50]


def test_sustained_runs_have_times_and_temperatures_over_time():
    run = Sustained(block_s=30, medians_ms=(10, 20), temperatures_c=(30, 40))
    cold = Sustained(block_s=60, medians_ms=(5,))
    rows = rows_of([make_record("a", sustained=run), make_record("b", sustained=cold)])
    times, heat = sustained_charts(rows)
    assert [(dot.x, dot.y) for dot in times.series[0].dots] == [(0.25, 10), (0.75, 20)]
    assert [(dot.x, dot.y) for dot in heat.series[0].dots] == [(0.25, 30), (0.75, 40)]
    assert [len(chart.series) for chart in (times, heat)] == [2, 1]
    assert sustained_charts(rows_of([make_record("c")])) == []


def test_a_roofline_needs_peaks_or_shares():
    record = MANY[0]
    bare = [layer.model_copy(update={"share": None}) for layer in record.layers]
    assert roofline_chart(rows_of([record.model_copy(update={"layers": bare})])[0]) is None
    chart = roofline_chart(rows_of([record])[0])
    assert [one.name for one in chart.series] == ["measured, by layer", "measured, all layers"]
    peaks = Peaks(gflops=100, copy_gb_s=5, how="made up")
    chart = roofline_chart(rows_of([record.model_copy(update={"peaks": peaks})])[0])
    roof = chart.series[-1]
    assert roof.name == "roof"
    # The ridge: 100 GFLOP/s at 10 GB/s of reads and writes.
    assert [dot.y for dot in roof.dots if dot.x == 10] == [100]
    assert max(dot.y for dot in roof.dots) == 100
    for dot in chart.series[2].dots:
        assert dot.y == pytest.approx(min(100, 10 * dot.x))


def test_operators_beyond_the_first_are_summed():
    operators = tuple(
        OperatorTime(name=f"op{k}", kind="Conv", layer=None, share=0.05) for k in range(20)
    )
    lines = operator_table(rows_of([make_record(operators=operators)])[0]).lines
    assert len(lines) == 13
    assert lines[-1].cells == ("8 others", "", "", "40.0%")


def test_csv_has_every_record_with_its_figures():
    lines = list(csv.DictReader(io.StringIO(csv_of(MANY))))
    assert len(lines) == len(MANY)
    for line, record in zip(lines, MANY, strict=True):
        assert line["artifact"] == record.artifact
        assert line["verification"] == record.verification.result
        assert line["median_ms"] == (
            "" if record.latency is None else str(record.latency.median_ms)
        )
        if record.fixed:
            assert json.loads(line["fixed"]) == record.fixed
            assert float(line["phi"]) in PHIS
        assert line["quality_dice"] == str(record.quality.get("dice", ""))
    assert lines[1]["ratio"] == str(ratio_of(MANY[1].samples_ms, MANY[0].samples_ms).value)


def test_markdown_has_the_sections_and_no_markup_from_names():
    text = markdown_of([*MANY, make_record("a|b<i>*c*", session="9" * 32)])
    for section in ("Devices side by side", "Latency", "Quality and cost", "Emulated devices"):
        assert f"\n## {section}\n" in text
    assert "a\\|b\\<i\\>\\*c\\*" in text
    widths = [
        len(re.findall(r"(?<!\\)\|", line)) for line in text.splitlines() if line.startswith("|")
    ]
    heads = [k for k, line in enumerate(text.splitlines()) if line.startswith("| ---")]
    assert len(heads) >= 10
    assert min(widths) >= 5


@pytest.mark.parametrize(
    ("changes", "marks"),
    [
        ({}, []),
        ({"preempted_runs": 3}, []),
        ({"preempted_runs": 4}, ["4 runs preempted"]),
        ({"throttled": True, "warmup_stable": False}, ["throttled", "unstable"]),
        ({"verification": Verification(result="not_run")}, ["unverified"]),
        ({"verification": WRONG, "throttled": True}, ["WRONG OUTPUTS", "throttled"]),
    ],
)
def test_doubtful_measurements_are_marked(changes, marks):
    (row,) = rows_of([make_record(**changes)])
    assert row.marks == marks
    text = "".join(_parsed(page_of([row.record])).text)
    assert all(mark in text for mark in marks)


def test_warnings_of_a_session_are_stated_once():
    records = [make_record(str(k), warnings=["it was busy"], preempted_runs=2) for k in range(3)]
    content = content_of(records)
    expected = ["it was busy", "6 of 90 timed runs were preempted by another process"]
    assert content.warnings(content.sessions[0]) == expected
