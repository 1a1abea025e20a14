"""Batches from the command line: real processes that are interrupted, ended, and watched."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tests.data_files import CHART
from tests.fakes.artifacts import make_artifact


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(make_artifact(tmp_path_factory.mktemp("model") / "split", filters="split").folder)


def chart_batch(model: str, tmp_path: Path) -> tuple[list[str], Path, dict[str, str]]:
    """The command that develops copies of the chart; its output folder and its environment."""
    for i in range(6):
        (tmp_path / f"n{i}.dng").symlink_to(CHART)
    (tmp_path / "tmp").mkdir()
    many = sorted(map(str, tmp_path.glob("n*.dng")))
    out = tmp_path / "out"
    words = [*many, "-o", str(out), "--model", model, "--jobs", "2", "--threads", "1"]
    environment = {**os.environ, "TMPDIR": str(tmp_path / "tmp")}
    return [sys.executable, "-m", "edge_pipeline", "develop", *words], out, environment


def wait_for(condition: Callable[[], object]) -> None:
    end = time.perf_counter() + 60
    while not condition():
        assert time.perf_counter() < end
        time.sleep(0.005)


@pytest.fixture
def started(model: str, tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], Path, Path]]:
    """A batch that has written a picture and whose reader's process runs; its folders."""
    command, out, environment = chart_batch(model, tmp_path)
    running = subprocess.Popen(
        command,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell's background jobs ignore interrupts, and what they start does, too.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    try:
        wait_for(lambda: out.exists() and any(out.glob("n*.jpg")))
        wait_for(lambda: psutil.Process(running.pid).children() or running.poll() is not None)
        yield running, out, tmp_path / "tmp"
    finally:
        running.kill()
        running.wait()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_leaves_no_process_and_no_file_and_the_same_command_continues(
    started: tuple[subprocess.Popen[str], Path, Path], number: int, code: int
) -> None:
    running, out, temporary = started
    children = psutil.Process(running.pid).children(recursive=True)
    running.send_signal(number)
    _, err = running.communicate(timeout=60)
    assert running.returncode == code
    assert "Traceback" not in err
    assert "the same command does the rest" in err
    assert psutil.wait_procs(children, timeout=0)[1] == []
    assert list(temporary.iterdir()) == []
    left = sorted(path.name for path in out.iterdir())
    assert 0 < len(left) < 6
    assert all(name.endswith(".jpg") and not name.startswith(".") for name in left)
    done = subprocess.run(running.args, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0
    assert f"{6 - len(left)} developed, {len(left)} existed, 0 failed" in done.stdout


def test_the_reader_ends_if_its_parent_is_killed(
    started: tuple[subprocess.Popen[str], Path, Path],
) -> None:
    running, out, _ = started
    children = psutil.Process(running.pid).children(recursive=True)
    running.kill()
    running.wait()
    assert psutil.wait_procs(children, timeout=30)[1] == []
    assert any(out.glob("n*.jpg"))


def test_the_next_run_removes_what_a_killed_one_left(model: str, tmp_path: Path) -> None:
    command, out, environment = chart_batch(model, tmp_path)
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as running:
        wait_for(lambda: out.exists() and any(out.glob(".*.unfinished/n*.jpg")))
        running.kill()
    (tmp_path / "out/.mine.jpg").write_bytes(b"precious")
    if not any(out.glob(".*.unfinished")):
        pytest.skip("the picture was finished before the signal")
    done = subprocess.run(command, env=environment, capture_output=True, timeout=120, check=False)
    assert done.returncode == 0
    assert sorted(path.name for path in out.iterdir()) == [
        ".mine.jpg",
        *(f"n{i}.jpg" for i in range(6)),
    ]


def test_lines_come_one_by_one_without_a_terminal(model: str, tmp_path: Path) -> None:
    command, out, environment = chart_batch(model, tmp_path)
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as running:
        assert running.stdout is not None
        assert running.stdout.readline().startswith("developed  ")
        assert len(list(out.glob("n*.jpg"))) < 6
        assert running.poll() is None
        running.terminate()
