"""`bench` as it is typed."""

import json
import threading

import numpy as np
import pytest

from edge_pipeline.cli import bench as bench_command
from edge_pipeline.cli.main import main
from edge_pipeline.errors import InputError
from edge_pipeline.harness.process import ProcessWorker
from tests.fakes.artifacts import make_artifact
from tests.fakes.devices import FakeDevice


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bench")
    return [
        str(make_artifact(folder / form, filters=form).folder) for form in ("folded", "dynamic")
    ]


def test_several_artifacts_give_a_table_and_a_list(artifacts, tmp_path, capsys):
    target = tmp_path / "records.jsonl"
    words = ["--runs", "30", "--seconds", "0", "--warmup", "1"]
    assert main(["bench", *artifacts, "--records", str(target), *words]) == 0
    table = capsys.readouterr().out
    records = [json.loads(line) for line in target.read_text().splitlines()]
    assert [record["artifact"] for record in records] == artifacts
    for record in records:
        assert record["backend"] == "onnx"
        assert record["device"] == "host"
        assert record["threads"] == 1
        assert record["memory"]["peak_bytes"] > 0
        latency = record["latency"]
        assert latency["min_ms"] <= latency["median_ms"] <= latency["max_ms"]
        assert sorted(record["samples_ms"])[-1] == latency["max_ms"]
    assert "1 thread, pinned to CPU" in table


def test_records_alone_go_to_stdout(artifacts, capsys):
    words = ["--records", "-", "--warmup", "0", "--runs", "31", "--seconds", "0"]
    assert main(["bench", artifacts[0], *words]) == 0
    captured = capsys.readouterr()
    record = json.loads(captured.out)
    assert len(record["samples_ms"]) == record["num_runs"] == 31
    assert record["verification"]["result"] == "passed"
    assert "median" in captured.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--runs", "29"], "timed runs must be at least 30, got 29"),
        (["--threads", "0"], "on this machine, got 0"),
        (["--input", "33x64"], "33x64"),
        (["--input", "64"], "HxW"),
        (["--device", "toaster"], "toaster"),
        (["--device", "host:"], "'host:' has no address"),
        (["--device", "host:3"], "host has no address, got '3'"),
        (["--cores", "77777"], "77777"),
        (["--cores", "a,b"], "a,b"),
        (["--seconds", "-1"], "got -1 s"),
        (["--min-battery", "200"], "got 200"),
    ],
)
def test_wrong_options_end_with_two_and_one_sentence(artifacts, capsys, words, message):
    assert main(["bench", artifacts[0], *words]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert message in captured.err
    assert captured.err.count("error:") == 1


def test_a_foreign_folder_and_a_damaged_artifact_are_refused(tmp_path, capsys):
    assert main(["bench", str(tmp_path)]) == 2
    assert str(tmp_path) in capsys.readouterr().err
    artifact = make_artifact(tmp_path / "a")
    model = artifact.path("forward.onnx")
    model.write_bytes(model.read_bytes()[:-1] + b"\0")
    assert main(["bench", str(artifact.folder)]) == 2
    assert "forward.onnx" in capsys.readouterr().err


def test_wrong_outputs_end_with_one(artifacts, tmp_path, capsys, monkeypatch):
    def zeros(worker):
        return {"rgb": np.zeros((1, 3, 4, 4), np.float32)}

    monkeypatch.setattr(ProcessWorker, "outputs", zeros)
    target = tmp_path / "records.jsonl"
    words = ["--records", str(target), "--runs", "30", "--seconds", "0", "--warmup", "0"]
    assert main(["bench", artifacts[0], *words]) == 1
    captured = capsys.readouterr()
    assert "WRONG" in captured.out
    assert "the outputs are wrong" in captured.err
    assert json.loads(target.read_text())["verification"]["result"] == "failed"


QUICK = ("--runs", "30", "--seconds", "0", "--warmup", "0")


def _attach(monkeypatch, *devices):
    known = {device.name: device for device in devices}

    def opened(name, _options):
        if name not in known:
            raise InputError(f"no device {name!r} is attached")
        return known[name]

    monkeypatch.setattr(bench_command, "open_named", opened)


def test_attached_devices_are_measured_at_the_same_time(artifacts, tmp_path, capsys, monkeypatch):
    both, met = threading.Barrier(2, timeout=20), threading.Event()

    def meet():
        if not met.is_set():
            both.wait()
            met.set()

    _attach(monkeypatch, FakeDevice("adb:1", meet), FakeDevice("adb:2", meet))
    target = tmp_path / "records.jsonl"
    names = ["--device", "adb:1,adb:2", "--repeats", "2"]
    assert main(["bench", *artifacts, *names, "--records", str(target), *QUICK]) == 0
    records = [json.loads(line) for line in target.read_text().splitlines()]
    assert sorted(record["device"] for record in records) == ["adb:1"] * 4 + ["adb:2"] * 4
    assert len({record["session"] for record in records}) == 4
    assert capsys.readouterr().out.count("interleaved rounds") == 4


def test_a_device_that_fails_does_not_stop_the_others(artifacts, tmp_path, capsys, monkeypatch):
    _attach(monkeypatch, FakeDevice("adb:1", backends=("litert",)), FakeDevice("adb:2"))
    target = tmp_path / "records.jsonl"
    words = ["--device", "adb:1,adb:2", "--records", str(target), *QUICK]
    assert main(["bench", artifacts[0], *words]) == 2
    assert "1 of 2 devices were not measured: adb:1: adb:1 cannot run onnx" in _line(capsys)
    assert [json.loads(line)["device"] for line in target.read_text().splitlines()] == ["adb:2"]


def test_nothing_is_measured_if_a_device_is_missing_or_given_twice(
    artifacts, tmp_path, capsys, monkeypatch
):
    device = FakeDevice("adb:1")
    _attach(monkeypatch, device)
    for names, message in (
        ("adb:1,adb:gone", "no device 'adb:gone' is attached"),
        ("adb:1,adb:1", "the devices adb:1 and adb:1 are the same"),
    ):
        assert main(["bench", artifacts[0], "--device", names, *QUICK]) == 2
        assert message in _line(capsys)
    assert device.sessions == []


def _line(capsys):
    return " ".join(capsys.readouterr().err.split())
