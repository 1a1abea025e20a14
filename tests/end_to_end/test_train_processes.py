"""Trainings on several processes and nodes through the command line, and what ends them."""

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager

import psutil
import pytest
import safetensors.torch
import torch
import yaml
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.fakes.trainings import discs_recipe, write_discs

TIMEOUT = 300
pytestmark = pytest.mark.slow
# A single process and two of them add the same gradients in another order.
ROUNDING = {"rtol": 1e-4, "atol": 1e-5}


@pytest.fixture(scope="module")
def discs(tmp_path_factory):
    return write_discs(tmp_path_factory.mktemp("discs") / "set")


@pytest.fixture
def recipe(discs, tmp_path):
    """Writes a recipe; returns its path."""

    def write(**optimiser):
        path = tmp_path / "discs.yaml"
        path.write_text(yaml.safe_dump(discs_recipe(discs, **optimiser).model_dump(mode="json")))
        return path

    return write


def words(recipe, folder, *more):
    command = [sys.executable, "-m", "edge_pipeline", "train", str(recipe), "-o", str(folder)]
    return [*command, "--accelerator", "cpu", "--threads", "1", *map(str, more)]


def environment(**more):
    own = {key: value for key, value in os.environ.items() if not key.startswith(("PYTEST", "COV"))}
    return own | {"OMP_NUM_THREADS": "1"} | more


def run(recipe, folder, *more, **env):
    return subprocess.run(
        words(recipe, folder, *more),
        env=environment(**env),
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )


@contextmanager
def started(recipe, folder, *more, **env):
    """A running training, which a test may signal; afterwards nothing of it is left."""
    process = subprocess.Popen(
        words(recipe, folder, *more),
        env=environment(**env),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        for each in left(folder):
            each.kill()
        process.kill()
        process.wait(TIMEOUT)


def left(folder):
    """The processes that still train in the folder."""
    found = []
    for each in psutil.process_iter(["cmdline", "status"]):
        command = each.info["cmdline"] or []
        if str(folder) in command and each.info["status"] != psutil.STATUS_ZOMBIE:
            found.append(each)
    return found


def none_left(folder, seconds=60):
    """Whether all processes of a training end within some seconds."""
    end = time.monotonic() + seconds
    while left(folder) and time.monotonic() < end:
        time.sleep(0.1)
    return not left(folder)


def wait_for(path, process):
    end = time.monotonic() + TIMEOUT
    while not path.exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.05)


def losses(folder):
    return [event.value for event in EventAccumulator(str(folder)).Reload().Scalars("loss")]


def weights(folder):
    return safetensors.torch.load_file(folder / "checkpoint.safetensors")


def assert_same_training(folder, expected):
    torch.testing.assert_close(losses(folder), losses(expected), **ROUNDING)
    torch.testing.assert_close(weights(folder), weights(expected), **ROUNDING)


def error_lines(text):
    return [line for line in text.splitlines() if line.startswith("error:")]


def test_two_processes_train_as_one(recipe, tmp_path):
    path = recipe(steps=60)
    one, two = tmp_path / "one", tmp_path / "two"
    for folder, devices in ((one, 1), (two, 2)):
        result = run(path, folder, "--devices", devices, "--every", 60)
        assert result.returncode == 0, result.stderr
        assert result.stdout == f"wrote {folder / 'checkpoint.safetensors'}\n"
        assert result.stderr.count("step 60: Dice score") == 1
        assert "Traceback" not in result.stderr
    assert len(losses(one)) == 2
    assert_same_training(two, one)
    assert len(list(two.glob("events*"))) == 1
    assert none_left(two)


def test_ctrl_c_stops_both_processes_and_the_training_can_be_resumed(recipe, tmp_path):
    path, folder = recipe(steps=150), tmp_path / "run"
    with started(path, folder, "--devices", 2, "--every", 10) as process:
        wait_for(folder / "state.safetensors", process)
        os.killpg(process.pid, signal.SIGINT)
        _, stderr = process.communicate(timeout=TIMEOUT)
    assert process.returncode == 130, stderr
    assert none_left(folder)
    assert "Traceback" not in stderr
    result = run(path, folder, "--devices", 2, "--resume", "--every", 150)
    assert result.returncode == 0, result.stderr
    whole = run(path, tmp_path / "whole", "--devices", 1, "--every", 150)
    assert whole.returncode == 0, whole.stderr
    torch.testing.assert_close(losses(folder), losses(tmp_path / "whole"), **ROUNDING)


def test_a_signal_to_one_process_stops_both(recipe, tmp_path):
    path, folder = recipe(steps=4000), tmp_path / "run"
    with started(path, folder, "--devices", 2, "--every", 20) as process:
        wait_for(folder / "state.safetensors", process)
        (child,) = [each for each in left(folder) if each.pid != process.pid]
        child.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=TIMEOUT)
    assert process.returncode == 130, stderr
    assert none_left(folder)


@pytest.mark.parametrize("first", [True, False])
def test_the_loss_of_a_process_ends_the_other_one(recipe, tmp_path, first):
    path, folder = recipe(steps=4000), tmp_path / "run"
    with started(path, folder, "--devices", 2, "--every", 20) as process:
        wait_for(folder / "state.safetensors", process)
        (child,) = [each for each in left(folder) if each.pid != process.pid]
        (process if first else child).kill()
        _, stderr = process.communicate(timeout=TIMEOUT)
        assert none_left(folder)
    if not first:
        assert process.returncode == 1, stderr
        assert "another process of the training has ended" in error_lines(stderr)[0]
    assert "Traceback" not in stderr
    safetensors.torch.load_file(folder / "state.safetensors")


def test_a_training_that_was_killed_continues_to_the_same_losses(recipe, tmp_path):
    path, folder = recipe(steps=120), tmp_path / "run"
    with started(path, folder, "--every", 10) as process:
        wait_for(folder / "state.safetensors", process)
        process.kill()
        process.communicate(timeout=TIMEOUT)
    result = run(path, folder, "--resume", "--every", 120)
    assert result.returncode == 0, result.stderr
    assert run(path, tmp_path / "whole", "--every", 120).returncode == 0
    assert losses(folder) == losses(tmp_path / "whole")
    found, expected = weights(folder), weights(tmp_path / "whole")
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_a_fault_that_one_process_finds_ends_both_with_one_message(tmp_path, discs):
    folder, own = tmp_path / "run", write_discs(tmp_path / "own")
    path = tmp_path / "discs.yaml"
    # Sample 1, 3, ... of a batch are the second process's.
    path.write_text(yaml.safe_dump(discs_recipe(own, steps=200).model_dump(mode="json")))
    (own / "train/images/train3.png").write_bytes(b"no picture")
    result = run(path, folder, "--devices", 2)
    assert result.returncode == 2, result.stderr
    (line,) = error_lines(result.stderr)
    assert "train3.png cannot be read as a picture" in line
    assert "Traceback" not in result.stderr
    assert none_left(folder)


def free_port():
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        return str(opened.getsockname()[1])


@pytest.mark.parametrize("devices", [1, 2])
def test_two_nodes_train_as_one_process(recipe, tmp_path, devices):
    path, folder = recipe(steps=30), tmp_path / "nodes"
    address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free_port()}
    more = ("--nodes", 2, "--devices", devices)
    with (
        started(path, folder, *more, NODE_RANK="1", **address) as second,
        started(path, folder, *more, NODE_RANK="0", **address) as first,
    ):
        told = [process.communicate(timeout=TIMEOUT) for process in (first, second)]
    assert [first.returncode, second.returncode] == [0, 0], told
    assert told[0][0].startswith("wrote ")
    assert told[1] == ("", "")
    assert run(path, tmp_path / "one").returncode == 0
    assert_same_training(folder, tmp_path / "one")


def test_torchrun_starts_the_processes(recipe, tmp_path):
    path, folder = recipe(steps=30), tmp_path / "run"
    start = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    start += ["--master-addr", "127.0.0.1", "--master-port", free_port(), *words(path, folder)[1:]]

    def torchrun(*more):
        return subprocess.run(
            [*start, *more], env=environment(), capture_output=True, text=True, timeout=TIMEOUT
        )

    result = torchrun()
    assert result.returncode != 0
    assert "torchrun started 2 processes, and 1 devices on 1 nodes" in result.stderr
    result = torchrun("--devices", "2")
    assert result.returncode == 0, result.stderr
    assert run(path, tmp_path / "one").returncode == 0
    assert_same_training(folder, tmp_path / "one")
