"""The chosen variant is the best one within the limits, as a search of all variants finds it."""

import re
import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_pipeline.errors import InputError, JobError
from edge_pipeline.select.choice import METRICS, Limits, choose, compile_command
from edge_pipeline.select.front import Variant
from tests.fakes.sweeps import make_measurement, make_point, make_sweep

FIGURE = st.integers(1, 5)
MEASURED = st.lists(
    st.tuples(FIGURE, FIGURE, st.sampled_from(["onnx", "litert"])),
    max_size=2,
    unique_by=lambda m: m[2],
)
POINTS = st.lists(st.tuples(FIGURE, FIGURE, FIGURE, FIGURE, MEASURED), min_size=1, max_size=8)
LIMIT = st.none() | FIGURE
LIMITS = st.tuples(LIMIT, LIMIT, LIMIT, LIMIT, LIMIT, LIMIT)


def _sweep(rows):
    points = []
    for k, (dice, iou, macs, memory, measured) in enumerate(rows):
        figures = [make_measurement(ms, size, backend=name) for ms, size, name in measured]
        points.append(
            make_point(
                (k + 1) / 10, dice / 10, macs, iou=iou / 10, memory=memory, measurements=figures
            )
        )
    return make_sweep(*points)


def _limits(values):
    dice, iou, macs, memory, size, latency = values
    return Limits(dice and dice / 10, iou and iou / 10, macs, memory, size, latency)


def _restated(rows, values, metric):
    """All variants within the limits, as (value of the metric, phi); None if none was measured."""
    index = METRICS.index(metric)
    needs = index >= 4 or values[4] is not None or values[5] is not None
    found, count = [], 0
    for k, (dice, iou, macs, memory, measured) in enumerate(rows):
        for ms, size, _ in measured if needs else [(0, 0, "")]:
            figures = (dice, iou, macs, memory, size, ms)
            count += 1
            if all(
                limit is None or (figure >= limit if at < 2 else figure <= limit)
                for at, (figure, limit) in enumerate(zip(figures, values, strict=True))
            ):
                found.append((figures[index], (k + 1) / 10))
    return found if count else None


@given(POINTS, LIMITS, st.sampled_from(METRICS))
def test_the_choice_is_that_of_a_search_of_all_variants(rows, values, metric):
    sweep, limits = _sweep(rows), _limits(values)
    expected = _restated(rows, values, metric)
    if expected is None:
        with pytest.raises(InputError, match="no measurement"):
            choose(sweep, limits, metric)
    elif not expected:
        with pytest.raises(JobError, match=r"nearest is phi 0\.\d with"):
            choose(sweep, limits, metric)
    else:
        best = (max if metric in ("dice", "iou") else min)(value for value, _ in expected)
        chosen = choose(sweep, limits, metric)
        assert chosen.point.phi in [phi for value, phi in expected if value == best]
        assert limits.excess(chosen) == 0


def test_equal_values_are_decided_by_dice_then_macs_then_phi():
    sweep = make_sweep(
        make_point(0.2, 0.7, 10), make_point(0.3, 0.8, 10), make_point(0.4, 0.8, 9, memory=100)
    )
    assert choose(sweep, Limits(), "memory").point.phi == 0.4
    assert choose(sweep, Limits(), "dice").point.phi == 0.4
    assert choose(sweep, Limits(max_macs=10, min_dice=0.75), "memory").point.phi == 0.4


def test_the_nearest_point_is_named_with_what_it_reaches():
    sweep = make_sweep(make_point(0.2, 0.7, 10_000_000), make_point(0.4, 0.8, 20_000_000))
    with pytest.raises(JobError) as caught:
        choose(sweep, Limits(min_dice=0.75, max_macs=11e6), "macs")
    assert str(caught.value) == (
        "none of the 2 evaluated points satisfies at least Dice 0.75, at most 11 MMAC; the nearest "
        "is phi 0.2 with Dice 0.7, 10 MMAC"
    )


def test_values_between_points_are_not_candidates():
    sweep = make_sweep(make_point(0.2, 0.5, 10), make_point(0.4, 0.9, 20))
    assert choose(sweep, Limits(min_dice=0.7), "macs").point.phi == 0.4


@pytest.fixture
def measured():
    return make_sweep(
        make_point(
            0.2,
            0.7,
            10,
            measurements=[make_measurement(5.0), make_measurement(50.0, device="phone")],
        ),
        make_point(0.4, 0.8, 20, measurements=[make_measurement(4.0, 2, backend="litert")]),
        make_point(0.5, 0.9, 30),
    )


def test_latencies_of_several_devices_need_a_choice(measured):
    with pytest.raises(InputError, match="host, phone; give --device"):
        choose(measured, Limits(), "latency")
    assert choose(measured, Limits(), "latency", device="phone").point.phi == 0.2
    assert choose(measured, Limits(), "latency", device="host").point.phi == 0.4
    # Size does not depend on the device.
    assert choose(measured, Limits(), "size").point.phi == 0.4


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"device": "tablet"}, "with the device tablet; they have host, phone"),
        ({"backend": "coreml"}, "with the backend coreml; they have litert, onnx"),
        ({"backend": "litert", "device": "phone"}, "no measurement of litert on phone"),
    ],
)
def test_an_absent_device_or_backend_is_named(measured, options, message):
    with pytest.raises(InputError, match=re.escape(message)):
        choose(measured, Limits(), "latency", **options)


def test_points_that_were_not_measured_have_no_latency(measured):
    assert choose(measured, Limits(max_latency=100), "dice", device="host").point.phi == 0.4
    assert choose(measured, Limits(), "dice").point.phi == 0.5
    with pytest.raises(InputError, match="contain no measurement; run edge-pipeline pareto"):
        choose(make_sweep(make_point(0.5, 0.9, 30)), Limits(), "size")
    with pytest.raises(InputError, match="contain no point"):
        choose(make_sweep(), Limits(), "macs")


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"min_dice": 1.5}, "--min-dice 1.5"),
        ({"min_iou": -0.1}, "--min-iou -0.1"),
        ({"max_macs": 0}, "--max-macs 0"),
        ({"max_latency": float("inf")}, "--max-latency inf"),
        ({"min_dice": float("nan")}, "--min-dice nan"),
    ],
)
def test_limits_out_of_range_are_refused(limits, message):
    with pytest.raises(InputError, match=re.escape(message)):
        Limits(**limits)


def test_the_command_compiles_what_was_evaluated(measured):
    words = shlex.split(compile_command(measured, Variant(measured.points[2]), "executorch"))
    assert words[:3] == ["edge-pipeline", "compile", "runs/a model.safetensors"]
    options = dict(zip(words[3::2], words[4::2], strict=True))
    assert options == {
        "--backend": "executorch",
        "--phi": "0.5",
        "--input": "32x48",
        "-o": "executorch-phi-0.5",
    }
    point = measured.points[1]
    own = compile_command(measured, Variant(point, point.measurements[0]), "onnx")
    assert "--backend litert" in own
