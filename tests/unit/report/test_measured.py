"""The report on measurements: complete, self-contained, and nothing wrong on a front."""

import csv
import io
import json
import re
from html.parser import HTMLParser

import pytest

from edge_pipeline.harness.statistics import ratio_of
from edge_pipeline.record import OperatorTime, Sensors, Verification
from edge_pipeline.report.measured.bars import instruction_bars, memory_bars
from edge_pipeline.report.measured.content import content_of
from edge_pipeline.report.measured.layer_tables import operator_table
from edge_pipeline.report.measured.page import page_of
from edge_pipeline.report.measured.strips import ratio_strips
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
