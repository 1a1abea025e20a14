"""`bench --suite` as it is typed."""

import pytest

pytest.importorskip("torch", reason="a suite compiles networks")

from edge_pipeline.cli.main import main
from edge_pipeline.record import read_records
from tests.fakes.artifacts import make_artifact


@pytest.fixture(scope="module")
def suite(tmp_path_factory):
    folder = tmp_path_factory.mktemp("suite")
    make_artifact(folder / "ready")
    path = folder / "suite.yaml"
    path.write_text(
        "networks: [{name: ready, artifact: ready}]\nprotocol: {runs: 30, seconds: 0, warmup: 0}\n"
    )
    return str(path)


def test_a_suite_is_measured_and_kept(suite, tmp_path, capsys):
    folder = tmp_path / "results"
    assert main(["bench", "--suite", suite, "-o", str(folder)]) == 0
    output = capsys.readouterr().out
    assert "1 programs measured" in output
    assert "outputs passed" in output
    assert len(read_records(folder / "records.jsonl")) == 1
    assert main(["bench", "--suite", suite, "-o", str(folder)]) == 0
    assert "0 programs measured, 1 kept from an earlier run" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "a suite requires a folder"),
        (["-o", "x", "--runs", "40"], "leave out runs"),
        (["-o", "x", "an_artifact"], "leave out artifacts"),
    ],
)
def test_options_of_the_file_are_refused(suite, capsys, words, message):
    assert main(["bench", "--suite", suite, *words]) == 2
    assert message in capsys.readouterr().err


def test_what_was_not_measured_ends_with_one(suite, tmp_path, capsys):
    path = tmp_path / "suite.yaml"
    path.write_text("networks: [{name: gone, artifact: gone}]")
    assert main(["bench", "--suite", str(path), "-o", str(tmp_path / "r")]) == 1
    captured = capsys.readouterr()
    assert "gone was not measured" in captured.out
    assert "1 were not measured" in captured.err


def test_bench_without_artifacts_is_refused(capsys):
    assert main(["bench"]) == 2
    assert "give their folders, or --suite FILE" in capsys.readouterr().err
    assert main(["bench", "a", "-o", "x"]) == 2
    assert "give --records FILE instead" in capsys.readouterr().err
