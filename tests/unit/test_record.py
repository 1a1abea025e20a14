"""Records and costs as JSON."""

import errno
import json
import os
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from edge_pipeline.errors import InputError, OutputError
from edge_pipeline.record import (
    Cost,
    CostRecord,
    LayerCost,
    append_records,
    read_records,
    records_text,
)
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
    path = tmp_path / "new" / "records.jsonl"
    append_records(path, records[:1])
    append_records(path, records[1:])
    assert read_records(path) == records
    assert path.read_text() == records_text(records)


def test_an_unfinished_line_is_replaced_and_ignored(tmp_path):
    path = tmp_path / "records.jsonl"
    append_records(path, [make_record("a")])
    with path.open("a") as file:
        file.write(records_text([make_record("torn")])[:100])
    assert [record.artifact for record in read_records(path)] == ["a"]
    append_records(path, [make_record("b")])
    assert [record.artifact for record in read_records(path)] == ["a", "b"]


def test_a_failed_write_leaves_the_file_as_it_was(tmp_path, monkeypatch):
    path = tmp_path / "records.jsonl"
    append_records(path, [make_record("a")])
    before = path.read_bytes()
    write = os.write
    calls = []

    def full(descriptor, content):
        calls.append(len(content))
        if len(calls) > 1:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(descriptor, bytes(content)[:50])

    monkeypatch.setattr("edge_pipeline.record.lines.os.write", full)
    with pytest.raises(OutputError, match=r"cannot write .*: No space left on device"):
        append_records(path, [make_record("b")])
    assert path.read_bytes() == before


def test_processes_that_append_together_lose_nothing(tmp_path):
    path = tmp_path / "records.jsonl"
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda k: append_records(path, [make_record(str(k))]), range(24)))
    assert sorted(int(record.artifact) for record in read_records(path)) == list(range(24))


def test_the_keys_are_those_that_others_read():
    entry = json.loads(records_text([make_record()]))
    assert {"artifact", "backend", "device", "threads", "latency", "memory"} <= set(entry)
    # LiteRT's benchmark_result.proto has these names.
    litert = {"min_ms", "max_ms", "stddev_ms", "avg_ms", "median_ms", "p5_ms", "p95_ms"}
    assert litert | {"p90_ms", "p99_ms"} == set(entry["latency"])
    assert {"init_ms", "first_inference_ms", "num_runs", "num_warmup_runs"} <= set(entry)
    assert set(entry["memory"]) == {"peak_bytes"}
    assert len(entry["samples_ms"]) == 30


def test_a_record_without_all_its_samples_is_refused():
    data = make_record().model_dump()
    data["num_runs"] = 31
    with pytest.raises(ValidationError, match="expected 31 samples, one per run, got 30"):
        type(make_record()).model_validate(data)
    data |= {"num_runs": 0, "samples_ms": ()}
    with pytest.raises(ValidationError, match="null if, and only if, there are no samples"):
        type(make_record()).model_validate(data)


@pytest.mark.parametrize("content", [b"{}", b"[3]", b'[{"artifact": "a"}]', b"\xff", b"3\n"])
def test_a_file_of_something_else_is_refused(tmp_path, content):
    path = tmp_path / "x.jsonl"
    path.write_bytes(content)
    with pytest.raises(InputError, match="line 1, is not a record of a measurement"):
        read_records(path)


def test_a_record_of_another_version_is_refused(tmp_path):
    path = tmp_path / "old.jsonl"
    text = records_text([make_record()])
    path.write_text(text.replace('"schema_version":2', '"schema_version":1'))
    with pytest.raises(InputError, match="reads version 2; measure again"):
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
