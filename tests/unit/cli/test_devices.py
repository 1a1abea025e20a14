"""`devices` as it is typed."""

import json

from edge_pipeline.cli.main import main
from edge_pipeline.errors import MissingExtraError
from edge_pipeline.harness.devices import ssh
from edge_pipeline.registry import DEVICES


def test_every_kind_is_listed(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))  # where no emulator is prepared
    assert main(["devices", "--json"]) == 0
    found = {device["name"]: device for device in json.loads(capsys.readouterr().out)}
    assert {name.partition(":")[0] for name in found} >= {"emulator", "host", "ssh"}
    assert found["host"]["backends"]["onnx"] == "edge_pipeline.harness.worker"
    assert found["host"]["problem"] is None
    assert found["emulator"]["backends"] == {}
    assert found["emulator"]["problem"]


def test_the_table_has_the_reasons(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["devices"]) == 0
    table = " ".join(capsys.readouterr().out.split())
    assert "host" in table
    assert "the program ssh is not installed" in table
    assert "qemu-aarch64" in table


def test_a_kind_that_cannot_be_asked_is_listed_with_the_reason(capsys, monkeypatch):
    def fail():
        raise MissingExtraError("listing boards requires [the extra] devices")

    monkeypatch.setattr(ssh, "attached", fail)
    assert main(["devices", "--json"]) == 0
    found = {device["name"]: device for device in json.loads(capsys.readouterr().out)}
    assert found["ssh"]["problem"] == "listing boards requires [the extra] devices"
    assert main(["devices"]) == 0
    assert "[the extra]" in " ".join(capsys.readouterr().out.split())
    assert "ssh" in DEVICES


def test_options_that_contradict_are_refused(capsys):
    assert main(["devices", "--prepare", "emulator", "--json"]) == 2
    assert "cannot be combined" in capsys.readouterr().err
    assert main(["devices", "--prepare", "toaster"]) == 2
