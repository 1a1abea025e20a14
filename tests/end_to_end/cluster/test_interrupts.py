"""Signals to the command that runs a batch."""

import signal
import time
from pathlib import Path

import pytest

from tests.fakes.batches import SLOW, Develop, contents, ended, started
from tests.fakes.dask_cluster import DaskCluster, wait_for

pytest.importorskip("distributed", reason="the extra `distributed` is not installed")


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGTERM, 143), pytest.param(signal.SIGINT, 130, marks=pytest.mark.slow)],
)
def test_a_signal_cancels_the_rest_and_the_same_command_continues(
    cluster: DaskCluster,
    model: str,
    dozen: Path,
    expected: dict[str, bytes],
    tmp_path: Path,
    develop: Develop,
    number: int,
    code: int,
) -> None:
    cluster.add_worker(preload=SLOW)
    out = tmp_path / "out"
    words = [dozen, "-o", out, "--scheduler", cluster.address]
    running = started(model, *words)
    assert running.stdout is not None
    running.stdout.readline()
    running.send_signal(number)
    begun = time.perf_counter()
    returned, _, err = ended(running)
    assert time.perf_counter() - begun < 15
    assert returned == code
    assert err.startswith("interrupted: ")
    assert err.count("\n") == 1
    left = len(contents(out))
    time.sleep(1)
    assert len(contents(out)) <= left + 1  # a picture that was being written
    assert left < 11
    again, said, _ = develop(model, *words)
    assert again == 0
    assert said.endswith(" 0 failed\n")
    assert contents(out) == expected


@pytest.mark.slow
def test_a_worker_stops_at_the_next_tile_when_the_command_is_killed_and_its_token_is_removed(
    cluster: DaskCluster, model: str, card: Path, tmp_path: Path
) -> None:
    cluster.add_worker(preload=SLOW.replace("0.5", "3"))
    out = tmp_path / "out"
    running = started(model, card, "-o", out, "--scheduler", cluster.address)
    wait_for(lambda: out.exists() and any(out.iterdir()))
    time.sleep(1.5)
    running.send_signal(signal.SIGTERM)
    assert ended(running)[0] == 143
    time.sleep(4)
    assert not out.exists() or contents(out) == {}
