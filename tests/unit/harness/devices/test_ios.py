"""iPhones: what is listed, what is refused, and what devices/ios would write is checked.

Nothing here ran on an iPhone: the records are written as the Swift source writes them.
"""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from edge_pipeline.artifact.draft import write_artifact
from edge_pipeline.cli.main import main
from edge_pipeline.errors import InputError, OutputError
from edge_pipeline.harness.devices import ios
from edge_pipeline.record import Latency, Record, Sensors, read_records
from tests.fakes.artifacts import make_artifact, make_files

SWIFT = Path(__file__).parents[4] / "devices/ios/main.swift"
SAMPLES = [1.0 + 0.01 * number for number in range(50)]


@pytest.fixture
def artifact(tmp_path):
    manifest, files = make_files()
    manifest = manifest.model_copy(update={"backend": "coreml"})
    return write_artifact(tmp_path / "isp", manifest, files, force=False)


@pytest.fixture
def written(tmp_path, artifact):
    """Write a record, with changes, and outputs that are off by `error`."""

    def write(error=0.0, **changes):
        folder = tmp_path / "results"
        folder.mkdir(exist_ok=True)
        _, outputs = artifact.reference("forward")
        safetensors.numpy.save_file(
            {
                name: np.ascontiguousarray(value + np.float32(error))
                for name, value in outputs.items()
            },
            folder / f"forward-{artifact.digest[:16]}.safetensors",
        )
        inputs, _ = artifact.reference("forward")
        record = {
            "schema_version": 2,
            "session": "0f" * 16,
            "artifact": "isp",
            "artifact_digest": artifact.digest,
            "program": "forward",
            "model": "a",
            "backend": "coreml",
            "precision": "fp32",
            "filters": "folded",
            "device": "ios:all",
            "runner": "devices/ios",
            "threads": 1,
            "input_shapes": {name: list(value.shape) for name, value in inputs.items()},
            "macs": 0,
            "flops": 0,
            "model_bytes": 1,
            "import_ms": None,
            "init_ms": 20.5,
            "first_inference_ms": 3.5,
            "num_warmup_runs": 10,
            "warmup_stable": None,
            "num_runs": len(SAMPLES),
            "latency": dict.fromkeys(Latency.model_fields, 1.0),
            "samples_ms": SAMPLES,
            "preempted_runs": 0,
            "memory": None,
            "memory_detail": None,
            "verification": {"result": "not_run"},
            "environment": {
                "system_name": "Apple iPhone17,1",
                "host_processor_model_name": "Apple D93",
                "host_processor_core_count": 6,
                "host_memory_bytes": 8 << 30,
                "operating_system": "Version 26.1 (Build 23B85), arm64",
                "accelerator_model_name": "Core ML, all",
            },
            "sensors_before": {"thermal_status": "none", "throttled": False},
            "sensors_after": {"thermal_status": "light", "throttled": False},
            "throttled": False,
            "versions": {"os": "Version 26.1 (Build 23B85)"},
            "measured": "2026-11-23T03:30:00Z",
        }
        path = folder / "records.jsonl"
        path.write_text(json.dumps(record | changes, sort_keys=True) + "\n")
        return path

    return write


def test_right_outputs_pass_and_statistics_are_computed_anew(written, artifact, tmp_path):
    target = tmp_path / "all.jsonl"
    (record,) = ios.merge_records(written(), [artifact.folder], target)
    assert read_records(target) == [record]
    assert record.verification.result == "passed"
    assert record.latency.median_ms == pytest.approx(np.median(SAMPLES))
    assert record.macs == artifact.program("forward").macs
    assert record.artifact == str(artifact.folder)


def test_wrong_outputs_fail(written, artifact, tmp_path):
    (record,) = ios.merge_records(written(error=0.1), [artifact.folder], tmp_path / "all.jsonl")
    assert record.verification.result == "failed"


def test_outputs_that_are_missing_are_not_checked(written, artifact, tmp_path):
    path = written()
    next(path.parent.glob("*.safetensors")).unlink()
    (record,) = ios.merge_records(path, [artifact.folder], tmp_path / "all.jsonl")
    assert record.verification.result == "not_run"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"device": "host"}, "record 1, is of coreml on host, not of an iPhone"),
        ({"backend": "onnx"}, "record 1, is of onnx on ios:all"),
        ({"artifact_digest": "0" * 64}, "record 1, is of another artifact"),
        ({"program": "backward"}, "of the program 'backward'"),
        ({"num_runs": 3}, "expected 3 samples"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_records_of_something_else_are_refused(written, artifact, tmp_path, changes, message):
    with pytest.raises(InputError, match=re.escape(message)):
        ios.merge_records(written(**changes), [artifact.folder], tmp_path / "all.jsonl")
    assert not (tmp_path / "all.jsonl").exists()


def test_nothing_is_merged_from_or_into_nothing(written, artifact, tmp_path):
    empty = tmp_path / "empty.jsonl"
    empty.touch()
    with pytest.raises(InputError, match="has no records"):
        ios.merge_records(empty, [artifact.folder], tmp_path / "all.jsonl")
    with pytest.raises(OutputError):
        ios.merge_records(written(), [artifact.folder], tmp_path / "isp/manifest.json/x")


def test_the_source_writes_the_fields_of_the_schema():
    text = SWIFT.read_text()
    block = re.search(r"let record: \[String: Any\] = \[(.*?)\n    \]", text, re.DOTALL)[1]
    # The keys of the dictionary itself are followed by a value and are not those inside one.
    inner = re.sub(r"\[[^\[\]]*\]", "[]", block)
    keys = set(re.findall(r'"(\w+)":', inner))
    required = {name for name, field in Record.model_fields.items() if field.is_required()}
    assert required <= keys <= set(Record.model_fields)
    latency = re.search(r"func latency.*?return \[(.*?)\]\n", text, re.DOTALL)[1]
    assert set(re.findall(r'"(\w+_ms)"', latency)) == set(Latency.model_fields)
    sensors = re.search(r"func sensors.*?return \[(.*?)\]\n", text, re.DOTALL)[1]
    assert set(re.findall(r'"(\w+)":', sensors)) <= set(Sensors.model_fields)


def test_bench_refuses_with_the_steps(tmp_path, capsys):
    folder = make_artifact(tmp_path / "a").folder
    assert main(["bench", str(folder), "--device", "ios"]) == 2
    error = capsys.readouterr().err
    assert "xcrun" in error
    assert "docs/how-to/iphone.md" in error
    assert "Traceback" not in error


@pytest.fixture
def tool(tmp_path, monkeypatch):
    """A program that prints what pymobiledevice3 would."""

    def make(text, code=0):
        path = tmp_path / "pymobiledevice3"
        path.write_text(f"#!/bin/sh\ncat <<'END'\n{text}\nEND\nexit {code}\n")
        path.chmod(0o755)
        monkeypatch.setattr(ios.shutil, "which", lambda _: str(path))

    return make


def test_attached_iphones_are_listed_with_the_reason(tool):
    tool(
        json.dumps(
            [{"Identifier": "00008140-A", "ProductType": "iPhone17,1", "ProductVersion": "26.1"}]
        )
    )
    (found,) = ios.attached()
    assert (found.name, found.description) == ("ios:00008140-A", "iPhone17,1, iOS 26.1")
    assert "only a Mac" in found.problem


@pytest.mark.parametrize(
    ("text", "code", "reason"),
    [
        ("[]", 0, "no iPhone is attached"),
        ("[]", 1, "cannot list them"),
        ("Traceback", 0, "cannot list them"),
        ("3", 0, "cannot list them"),
        ('[3, {"Identifier": 4}]', 0, "no iPhone is attached"),
    ],
)
def test_a_tool_that_finds_nothing_is_explained(tool, text, code, reason):
    tool(text, code)
    (found,) = ios.attached()
    assert reason in found.problem
    assert not found.backends


def test_without_the_tool_the_reason_is_given(monkeypatch):
    monkeypatch.setattr(ios.shutil, "which", lambda _: None)
    (found,) = ios.attached()
    assert "not installed" in found.problem
