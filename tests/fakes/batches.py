"""Batches of `edge-pipeline develop`: their captures, processes and files."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from tests.fakes.dng import Dng, write_dng

__all__ = ["SLOW", "Develop", "captures", "contents", "ended", "started"]

# Code for a worker that waits in the middle of each picture.
SLOW = """
import time
from edge_pipeline.isp.network import IspSession
cores = IspSession.cores
def slow(self, *words, **options):
    for core in cores(self, *words, **options):
        time.sleep(0.5)
        yield core
IspSession.cores = slow
"""
# Runs the command in the process of the tests; returns its exit code, output and errors.
Develop = Callable[..., tuple[int, str, str]]


def started(
    model: str, *words: object, cwd: Path | None = None, **environment: str
) -> subprocess.Popen[str]:
    """A process of the command, with further environment variables."""
    root = str(Path(__file__).resolve().parents[2])
    paths = os.pathsep.join([root, *filter(None, sys.path)])
    return subprocess.Popen(
        [sys.executable, "-m", "edge_pipeline", "develop", *map(str, words), "--model", model],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": paths, **environment},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


def ended(running: subprocess.Popen[str]) -> tuple[int, str, str]:
    """The exit code, output and errors of a process, when it ends."""
    try:
        out, err = running.communicate(timeout=120)
    finally:
        running.kill()
    assert "Traceback" not in err
    return running.returncode, out, err


def captures(folder: Path, names: Iterable[str], height: int, width: int) -> Path:
    """A folder of captures, each with other pixels."""
    folder.mkdir(exist_ok=True)
    for seed, name in enumerate(names):
        values = np.random.default_rng(seed).integers(64, 4096, (height, width), np.uint16)
        write_dng(folder / name, values, Dng())
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    """All files of a folder with their bytes, hidden ones too."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}
