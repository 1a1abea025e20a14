"""The figures with which the Android app's tests compare are those of the harness."""

import csv
import json

import pytest

from android_demo.tools.make_bench_fixture import FIXTURE, comparison, latency, protocol
from edge_pipeline.cli.main import main
from edge_pipeline.harness.statistics import summarise
from edge_pipeline.record import append_records, read_records

CASES = json.loads(FIXTURE.read_text())
RECORDS = FIXTURE.with_name("bench_records.jsonl")


@pytest.mark.parametrize("case", CASES["statistics"], ids=lambda case: len(case["samples_ms"]))
def test_the_statistics_are_those_of_the_harness(case):
    assert latency(case["samples_ms"]) == pytest.approx(case["latency"], rel=1e-12)


@pytest.mark.parametrize("case", CASES["protocol"], ids=lambda case: len(case["times_ns"]))
def test_the_steps_are_those_of_the_harness(case):
    for name, value in protocol(case).items():
        assert case[name] == value, name


def test_the_steps_show_stable_and_unstable_warmups():
    assert {case["warmup_stable"] for case in CASES["protocol"]} == {None, True, False}


@pytest.mark.parametrize("case", CASES["comparison"], ids=lambda case: case["precision"])
def test_the_comparison_is_that_of_the_harness(case):
    for name, value in comparison(case).items():
        assert case[name] == (value if value is None else pytest.approx(value, rel=1e-9)), name


def test_the_comparison_shows_passes_and_failures_of_every_precision():
    found = {(case["precision"], case["passed"]) for case in CASES["comparison"]}
    assert found == {(p, passed) for p in ("fp32", "fp16", "int8") for passed in (True, False)}


def test_the_records_of_the_app_are_read():
    (record,) = read_records(RECORDS)
    assert record.device == "android:Fake 1"
    assert record.verification.result == "passed"
    expected = summarise(record.samples_ms).model_dump()
    assert record.latency.model_dump() == pytest.approx(expected, rel=1e-12)
    assert record.memory.peak_bytes == record.memory_detail.added_bytes
    assert record.throttled
    assert record.sensors_after.thermal_status == "moderate"


def test_the_records_of_the_app_are_appended_to_those_of_the_host(tmp_path):
    target = tmp_path / "records.jsonl"
    append_records(target, read_records(RECORDS))
    append_records(target, read_records(RECORDS))
    assert read_records(target) == 2 * read_records(RECORDS)


def test_the_records_of_the_app_are_reported(tmp_path):
    target = tmp_path / "report.csv"
    assert main(["report", str(RECORDS), "-o", str(target)]) == 0
    with target.open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["program"], row["device"]) == ("forward", "android:Fake 1")
    assert main(["report", str(RECORDS), "-o", str(tmp_path / "report.html")]) == 0
