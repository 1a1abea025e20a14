"""A Dask scheduler and workers as real processes on the loopback interface."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import psutil

__all__ = ["DaskCluster", "wait_for"]

_ROOT = Path(__file__).resolve().parents[2]

# Dask imports a preloaded module several times.
_ONCE = """
import builtins, pathlib
if not hasattr(builtins, "preloaded"):
    builtins.preloaded = True
    exec(pathlib.Path({code!r}).read_text(), {{"__name__": "code_of_test"}})
"""


def wait_for(condition: Callable[[], object], seconds: float = 60) -> None:
    """Wait until a condition is true, and fail after some time."""
    end = time.perf_counter() + seconds
    while not condition():
        assert time.perf_counter() < end, "the condition did not become true"
        time.sleep(0.02)


class DaskCluster:
    """A scheduler, and workers that are started later.

    Args:
        folder: for logs and working folders of the workers.
        scheme: tcp or tls.
        environment: variables of the scheduler and the workers, besides those of this process.
        preload: Python code that the scheduler runs first.
    """

    def __init__(
        self,
        folder: Path,
        scheme: str = "tcp",
        environment: Mapping[str, str] | None = None,
        preload: str = "",
    ) -> None:
        self.folder = folder
        paths = os.pathsep.join([str(_ROOT), *filter(None, sys.path)])
        self._environment = {**os.environ, "PYTHONPATH": paths, **(environment or {})}
        self._workers: list[subprocess.Popen[bytes]] = []
        (folder / "preloaded.py").write_text(preload)
        contact = folder / "scheduler.json"
        self.scheduler = self._start(
            "scheduler",
            folder,
            *("scheduler", "--host", f"{scheme}://127.0.0.1", "--port", "0"),
            *("--scheduler-file", str(contact), "--no-jupyter"),
            *("--preload", str(folder / "preloaded.py")),
        )
        wait_for(lambda: contact.exists() and contact.stat().st_size)
        self.address = str(json.loads(contact.read_text())["address"])

    def _start(self, name: str, cwd: Path, *words: str) -> subprocess.Popen[bytes]:
        private = ("--dashboard-address", "127.0.0.1:0", "--no-dashboard")
        with (self.folder / f"{name}.log").open("wb") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "dask", *words, *private],
                cwd=cwd,
                env=self._environment,
                stdout=log,
                stderr=log,
            )

    def add_worker(self, *, preload: str = "", nanny: bool = False) -> subprocess.Popen[bytes]:
        """Start a worker with one thread and a working folder of its own.

        Args:
            preload: Python code that the worker runs first.
            nanny: whether the worker is restarted after it died.
        """
        name = f"w{len(self._workers)}"
        (self.folder / name).mkdir()
        (self.folder / name / "code.py").write_text(preload)
        (self.folder / name / "preloaded.py").write_text(
            _ONCE.format(code=str(self.folder / name / "code.py"))
        )
        worker = self._start(
            name,
            self.folder / name,
            *("worker", self.address, "--name", name, "--nthreads", "1", "--memory-limit", "0"),
            *("--host", "127.0.0.1", "--local-directory", str(self.folder / name)),
            *("--preload", str(self.folder / name / "preloaded.py")),
            "--nanny" if nanny else "--no-nanny",
        )
        self._workers.append(worker)
        log = self.folder / f"{name}.log"
        wait_for(lambda: worker.poll() is not None or b"Registered to" in log.read_bytes())
        assert worker.poll() is None, log.read_text()
        return worker

    @property
    def newest(self) -> Path:
        """The working folder of the worker that was started last."""
        return self.folder / f"w{len(self._workers) - 1}"

    def log(self) -> str:
        """What the scheduler said."""
        return (self.folder / "scheduler.log").read_text()

    def remove_workers(self) -> None:
        """End all workers, and wait until the scheduler knows."""
        for worker in self._workers:
            if worker.poll() is None:
                family = psutil.Process(worker.pid).children(recursive=True)
                for process in (psutil.Process(worker.pid), *family):
                    process.kill()
                worker.wait()
        wait_for(lambda: self.log().count("Register worker") <= self.log().count("Remove worker"))

    def close(self) -> None:
        """End all processes."""
        self.scheduler.kill()
        self.scheduler.wait()
        for worker in self._workers:
            if worker.poll() is None:
                for process in psutil.Process(worker.pid).children(recursive=True):
                    process.kill()
                worker.kill()
                worker.wait()
