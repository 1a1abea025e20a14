"""`edge-pipeline verify`: exit codes, the table and the JSON."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from edge_pipeline.artifact.draft import reference_bytes, write_artifact
from edge_pipeline.cli.verify import command
from edge_pipeline.errors import InputError, OutputError
from tests.fakes.artifacts import make_artifact, make_files

app = typer.Typer()
app.command()(command)


def _run(*words: str | Path) -> Any:
    return CliRunner().invoke(app, [str(word) for word in words], env={"COLUMNS": "100"})


@pytest.fixture
def good(tmp_path: Path) -> Path:
    return make_artifact(tmp_path / "good", filters="split").folder


@pytest.fixture
def wrong(tmp_path: Path) -> Path:
    """Sound as a folder, and its output is not eager's."""
    manifest, files = make_files()
    files["forward.safetensors"] = reference_bytes(
        {"packed": np.ones((1, 4, 32, 32), np.float32)},
        {"rgb": np.full((1, 3, 64, 64), 0.5, np.float32)},
    )
    return write_artifact(tmp_path / "wrong", manifest, files, force=False).folder


@pytest.fixture
def damaged(tmp_path: Path) -> Path:
    folder = make_artifact(tmp_path / "damaged").folder
    with (folder / "forward.onnx").open("r+b") as handle:
        handle.seek(50)
        handle.write(b"\xff")
    return folder


def test_good(good: Path) -> None:
    result = _run(good, "--threads", "2")
    assert result.exit_code == 0
    for word in ("onnx", "fp32", "2 threads", "predict_filters", "hyper_conv0.weight", "pass"):
        assert word in result.stdout
    assert result.stderr == ""


def test_wrong(wrong: Path) -> None:
    result = _run(wrong)
    assert result.exit_code == 1
    assert "FAIL" in result.stdout
    assert "relative error 1 is" in " ".join(result.stdout.replace("│", " ").split())


def test_damaged(damaged: Path) -> None:
    result = _run(damaged)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith(f"error: {damaged / 'forward.onnx'} was changed")
    assert result.stderr.count("\n") == 1


def test_one_bad_one_does_not_stop_the_rest(good: Path, wrong: Path, damaged: Path) -> None:
    result = _run(damaged, wrong, good)
    assert result.exit_code == 2
    assert "predict_filters" in result.stdout
    assert "FAIL" in result.stdout
    assert result.stderr.count("error: ") == 1


def test_foreign(tmp_path: Path) -> None:
    result = _run(tmp_path)
    assert result.exit_code == 2
    assert "is not an artifact" in result.stderr


def test_json_to_stdout_is_nothing_but_json(good: Path, wrong: Path, damaged: Path) -> None:
    result = _run(good, damaged, wrong, "--json", "-")
    first, second, third, pair = json.loads(result.stdout)
    assert [first["passed"], second["passed"], third["passed"]] == [True, False, False]
    assert first["artifact"] == str(good)
    assert first["verdict"] == "verified"
    assert pair["pair"] == [str(good), str(wrong)]
    assert "the deployment forms differ" in pair["note"]
    assert "was changed" in second["error"]
    assert third["programs"][0]["outputs"][0]["difference"]["max_abs"] == pytest.approx(0.5)


def test_json_to_a_file(good: Path, tmp_path: Path) -> None:
    result = _run(good, "--json", tmp_path / "deep" / "out.json")
    assert result.exit_code == 0
    assert json.loads((tmp_path / "deep" / "out.json").read_text())[0]["passed"] is True
    assert "pass" in result.stdout


def test_json_where_nothing_can_be_written_is_known_before_the_work(good: Path) -> None:
    result = _run(good, "--json", good)
    assert isinstance(result.exception, OutputError)
    assert result.stdout == ""


def test_two_of_one_network_are_compared(good: Path, tmp_path: Path) -> None:
    other = make_artifact(tmp_path / "other", filters="split").folder
    result = _run(good, other)
    assert result.exit_code == 0
    assert "compared with each other" in result.stdout
    assert result.stdout.count("random") >= 2


def test_tolerance_that_is_none(good: Path) -> None:
    assert isinstance(_run(good, "--tolerance", "2").exception, InputError)


@pytest.mark.parametrize("words", [[], ["--threads", "0", "x"]])
def test_usage(words: list[str]) -> None:
    assert _run(*words).exit_code == 2
