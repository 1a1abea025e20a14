"""Records are written and read without loss, and wrong ones are refused."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_pipeline.errors import InputError
from edge_pipeline.select.record import (
    RECORDS_FILE,
    Point,
    Scores,
    Sweep,
    read_sweep,
    sweep_json,
    write_sweep,
)
from tests.fakes.sweeps import make_measurement, make_point, make_setting, make_sweep

UNIT = st.floats(0, 1)
PHIS = st.lists(st.floats(0.001, 1), unique=True, max_size=4)


@given(PHIS, st.data())
def test_records_are_read_as_they_were_written(phis, data):
    points = [
        make_point(phi, data.draw(UNIT), data.draw(st.integers(0, 2**50)), iou=data.draw(UNIT))
        for phi in phis
    ]
    sweep = make_sweep(*points)
    assert Sweep.model_validate_json(sweep_json(sweep)) == sweep
    assert [point.phi for point in sweep.points] == sorted(phis)


def test_a_file_and_its_folder_are_read(tmp_path):
    sweep = make_sweep(make_point(0.2, 0.7, 10, measurements=[make_measurement(3.0)]))
    write_sweep(sweep, tmp_path / RECORDS_FILE)
    assert read_sweep(tmp_path) == read_sweep(tmp_path / RECORDS_FILE) == sweep


def test_a_measurement_replaces_that_of_the_same_variant():
    sweep = make_sweep(make_point(0.2, 0.7, 10))
    for median, device in ((3.0, "host"), (9.0, "phone"), (4.0, "host")):
        sweep = sweep.with_measurement(0.2, make_measurement(median, device=device))
    found = {m.record.device: m.record.latency.median_ms for m in sweep.points[0].measurements}
    assert found == {"host": 4.0, "phone": 9.0}
    with pytest.raises(ValueError, match="was not evaluated"):
        sweep.with_measurement(0.3, make_measurement(3.0))


def test_the_spread_is_that_of_the_pictures():
    scores = Scores(dice=0.5, iou=0.4, labels=(), picture_dice=(0.2, None, 0.8))
    assert (scores.dice_low, scores.dice_high) == (0.2, 0.8)
    assert scores.dice_std == pytest.approx(0.3 * 2**0.5)
    single = Scores(dice=0.5, iou=0.4, labels=(), picture_dice=(0.5,))
    assert single.dice_std == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.update(schema_version=2), "schema_version"),
        (lambda d: d["points"].reverse(), "order of phi"),
        (lambda d: d["points"].append(d["points"][1]), "occurs twice"),
        (lambda d: d["points"][0].update(phi=1.5), "points.0.phi"),
        (lambda d: d["points"][0].update(extra=1), "points.0.extra"),
        (lambda d: d["setting"]["pictures"].pop(), "scores of 2 pictures"),
        (lambda d: d["points"][0]["scores"].update(dice=float("nan")), "points.0.scores.dice"),
    ],
)
def test_wrong_records_are_refused(tmp_path, change, message):
    content = json.loads(sweep_json(make_sweep(make_point(0.2, 0.7, 1), make_point(0.3, 0.7, 1))))
    change(content)
    (tmp_path / RECORDS_FILE).write_text(json.dumps(content))
    with pytest.raises(InputError, match=re.escape(message)) as caught:
        read_sweep(tmp_path)
    assert str(tmp_path) in str(caught.value)


def test_absent_records_are_named(tmp_path):
    with pytest.raises(InputError, match="pareto writes records"):
        read_sweep(tmp_path)


def test_two_measurements_of_a_variant_are_refused():
    measured = make_measurement(3.0)
    point = make_point(0.2, 0.7, 10)
    with pytest.raises(ValueError, match="same backend"):
        Point(**(dict(point) | {"measurements": (measured, measured)}))


def test_settings_are_compared_by_value():
    assert make_setting() == make_setting()
    assert make_setting() != make_setting(split="test")
