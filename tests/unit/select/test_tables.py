"""Tables contain the records' figures, and are read back without loss."""

import csv
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_pipeline.select.front import curves_of
from edge_pipeline.select.record import Sweep
from edge_pipeline.select.tables import front_json, front_rows, point_rows, rows_csv
from tests.fakes.sweeps import make_measurement, make_point, make_sweep


@pytest.fixture
def sweep():
    return make_sweep(
        make_point(0.2, 0.7, 10, measurements=[make_measurement(5.0)]),
        make_point(0.3, 0.6, 15, memory=120),
        make_point(
            0.4, 0.8, 20, measurements=[make_measurement(4.0), make_measurement(3, backend='a,"b')]
        ),
    )


def _read(text):
    return list(csv.DictReader(io.StringIO(text, newline="")))


def _restored(row, like):
    """A row of text with the types of another row."""
    kinds = {key: type(value) for key, value in like.items()}
    return {k: None if v == "" else kinds[k](v) for k, v in row.items()}


def test_points_as_csv_are_read_back(sweep):
    rows = point_rows(sweep)
    assert [row["phi"] for row in rows] == [0.2, 0.3, 0.4, 0.4]
    read = _read(rows_csv(rows))
    assert [_restored(*pair) for pair in zip(read, rows, strict=True)] == rows


@given(st.floats(0, 1), st.integers(0, 2**60))
def test_numbers_lose_nothing_in_csv(dice, macs):
    (row,) = _read(rows_csv(point_rows(make_sweep(make_point(0.1, dice, macs)))))
    assert (float(row["dice"]), int(row["macs"]), int(row["flops"])) == (dice, macs, 2 * macs)


def test_the_front_as_csv_and_json_has_the_points_of_the_curves(sweep):
    curves = curves_of(sweep, "dice")
    expected = [(c.cost, c.backend, c.variants[k].point.phi) for c in curves for k in c.front]
    rows = front_rows(sweep, "dice")
    assert [(row["cost"], row["backend"], row["phi"]) for row in rows] == expected
    content = json.loads(front_json(sweep, "dice"))
    listed = [(f["cost"], f["backend"], p["phi"]) for f in content["fronts"] for p in f["points"]]
    assert listed == expected
    read = _read(rows_csv(rows))
    assert [float(row["value"]) for row in read] == [row["value"] for row in rows]
    assert content["setting"] == sweep.setting.model_dump(mode="json")


def test_a_label_that_occurs_in_no_picture_is_an_empty_field(sweep):
    row = _read(rows_csv(point_rows(sweep)))[0]
    assert row["iou of nucleus"] == ""
    assert row["dice of nucleus"] == "0.7"


def test_an_empty_sweep_has_empty_tables(sweep):
    empty = Sweep(setting=sweep.setting)
    assert point_rows(empty) == front_rows(empty, "dice") == []
    assert _read(rows_csv([])) == []
