"""The frame of the command line: verbs are listed without being loaded; failures are one line."""

import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from edge_pipeline.cli.main import VERBS, main
from edge_pipeline.errors import CaptureError, JobError


@pytest.fixture
def failing_verb(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A module in the place of `bench` whose command fails as the test wishes."""
    module = ModuleType("edge_pipeline.cli.bench")

    def command(number: int = 0) -> None:
        """Fail."""
        failure = module.failure  # type: ignore[attr-defined]
        if failure is not None:
            raise failure

    module.command = command  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "edge_pipeline.cli.bench", module)
    return module


def test_help_names_every_verb_with_its_summary(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    for verb in VERBS:
        assert re.search(rf"\b{verb.name}\b.*{re.escape(verb.summary)}", shown)


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.name)
def test_every_verb_explains_itself(
    verb: tuple[str, str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([verb[0], "--help"]) == 0
    assert f"edge-pipeline {verb[0]}" in capsys.readouterr().out


def test_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert re.fullmatch(r"edge-pipeline \d+\.\d+\.\d+\n", capsys.readouterr().out)


@pytest.mark.parametrize("words", [["no-such-verb"], ["--no-such-option"], ["bench", "--number"]])
def test_wrong_usage_is_2(
    words: list[str], failing_verb: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    assert "Error" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("failure", "code"),
    [(CaptureError("x.dng is\nempty"), 2), (JobError("the work stopped"), 1)],
)
def test_a_foreseen_failure_is_one_line_and_its_code(
    failure: Exception,
    code: int,
    failing_verb: ModuleType,
    capsys: pytest.CaptureFixture[str],
) -> None:
    failing_verb.failure = failure  # type: ignore[attr-defined]
    assert main(["bench"]) == code
    captured = capsys.readouterr()
    assert captured.err == f"error: {' '.join(str(failure).split())}\n"
    assert captured.out == ""


def test_an_unforeseen_failure_keeps_its_traceback_in_a_file(
    failing_verb: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    failing_verb.failure = ZeroDivisionError("by nought")  # type: ignore[attr-defined]
    assert main(["bench"]) == 1
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    found = re.search(r"unexpected error, a bug in this program; see (\S+)$", line.strip())
    assert found is not None
    assert "by nought" not in line
    details = Path(found.group(1)).read_text(encoding="utf-8")
    assert "Traceback (most recent call last)" in details
    assert "ZeroDivisionError: by nought" in details


def test_an_interrupt_is_130(failing_verb: ModuleType) -> None:
    failing_verb.failure = KeyboardInterrupt()  # type: ignore[attr-defined]
    assert main(["bench"]) == 130


def test_success_is_0(failing_verb: ModuleType) -> None:
    failing_verb.failure = None  # type: ignore[attr-defined]
    assert main(["bench"]) == 0


def test_a_reader_that_goes_away_ends_it_quietly() -> None:
    late = "import sys, time; time.sleep(1); from edge_pipeline.cli.main import main; "
    with subprocess.Popen(
        [sys.executable, "-c", late + "sys.exit(main(['--help']))"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(timeout=60) == 1


def test_paragraphs_of_a_verbs_help_fill_the_width(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["bench", "--help"]) == 0
    assert "Programs  \n take turns, so that they can be compared." in capsys.readouterr().out
