"""The charts of the report on measurements: fronts, strips, axes, rooflines."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_pipeline.record import Peaks, Sustained, Verification
from edge_pipeline.report.chart import Axis, decades
from edge_pipeline.report.measured.charts import roofline_chart, sustained_charts
from edge_pipeline.report.measured.fronts import metric_of, quality_charts
from edge_pipeline.report.measured.strips import sample_strips
from edge_pipeline.report.measured.view import rows_of
from tests.fakes.measurements import many_records
from tests.fakes.records import make_record

MANY = many_records()
WRONG = Verification(result="failed", max_abs=1.0, complaint="too far")


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
