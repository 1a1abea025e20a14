"""Records and costs as JSON."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from edge_pipeline.errors import InputError
from edge_pipeline.record import Cost, CostRecord, LayerCost, read_records, records_json
from tests.fakes.records import make_record

LAYERS = st.lists(
    st.builds(
        lambda name, params, macs, part: LayerCost(
            name=name,
            op="conv2d",
            params=params,
            macs=macs,
            flops=2 * macs,
            output_shape=(1, 2),
            part=part,
        ),
        st.text(max_size=5),
        st.integers(0, 10**9),
        st.integers(0, 10**12),
        st.sampled_from(["predictor", "path"]),
    ),
    max_size=8,
)


def test_records_come_back(tmp_path):
    records = [make_record("a"), make_record("b", samples_ms=[0.123456789] * 31)]
    path = tmp_path / "bench.json"
    path.write_text(records_json(records), encoding="utf-8")
    assert read_records(path) == records


def test_the_keys_are_those_that_others_read():
    (entry,) = json.loads(records_json([make_record()]))
    assert {"artifact", "backend", "device", "threads", "latency", "memory"} <= set(entry)
    assert set(entry["latency"]) == {
        "median_ms",
        "p90_ms",
        "p99_ms",
        "min_ms",
        "max_ms",
        "mean_ms",
    }
    assert set(entry["memory"]) == {"peak_bytes"}
    assert len(entry["samples_ms"]) == 30


def test_a_record_without_all_its_samples_is_refused():
    data = make_record().model_dump()
    data["runs"] = 31
    with pytest.raises(ValidationError, match="expected 31 samples, one per run, got 30"):
        type(make_record()).model_validate(data)


@pytest.mark.parametrize("content", [b"", b"{}", b"[3]", b'[{"artifact": "a"}]', b"\xff"])
def test_a_file_of_something_else_is_refused(tmp_path, content):
    path = tmp_path / "x.json"
    path.write_bytes(content)
    with pytest.raises(InputError, match="is not a list of bench records"):
        read_records(path)


def test_an_absent_file_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"cannot read .*none\.json"):
        read_records(tmp_path / "none.json")


@given(LAYERS)
def test_totals_are_sums_and_parts_add_up(layers):
    cost = Cost.of(layers)
    assert cost.macs == sum(layer.macs for layer in layers)
    assert cost.flops == 2 * cost.macs == cost.path.flops + cost.predictor.flops
    assert cost.params == cost.path.params + cost.predictor.params
    assert cost.path_only().macs == cost.path.macs
    assert cost.path_only().predictor.params == 0


@given(LAYERS)
def test_a_cost_comes_back_and_says_first_what_it_is_of(layers):
    record = CostRecord.build(Cost.of(layers), model="m", options={"a": 1}, input=(4, 32, 32))
    text = record.json_text()
    assert CostRecord.model_validate_json(text) == record
    first = ["model", "options", "input", "fixed", "params", "macs", "flops"]
    assert list(json.loads(text))[:7] == first
    assert list(json.loads(text))[-1] == "layers"
