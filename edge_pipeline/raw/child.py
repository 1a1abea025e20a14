"""Run the reader's process; end it at a time limit, if it is stopped, or if its parent ends.

The child's standard input is a pipe that only the parent holds open. If it
is closed, the parent has ended, for whatever reason.
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from time import monotonic

from edge_pipeline.errors import StoppedError

__all__ = ["ORPHANED", "confine", "run_child"]

# Exit status of a child whose parent has ended.
ORPHANED = 4

_POLL_S = 0.1


def run_child(
    command: Sequence[str],
    environment: Mapping[str, str],
    *,
    timeout_s: float,
    stop: threading.Event | None = None,
) -> subprocess.CompletedProcess[bytes]:
    """Run a command and return its status and output; no process remains after an error.

    Args:
        command: Program and arguments.
        environment: Environment variables of the process.
        timeout_s: Time limit in seconds.
        stop: Event that ends the process.

    Raises:
        OSError: If the process cannot be started.
        StoppedError: If `stop` was set.
        subprocess.TimeoutExpired: If the process did not end in time.
    """
    theirs, ours = os.pipe()
    try:
        # In a session of its own, because an interrupt from the keyboard must reach only the
        # parent, which then ends the child.
        with subprocess.Popen(  # noqa: S603 - our own interpreter and module, no shell
            command,
            env=environment,
            stdin=theirs,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        ) as process:
            try:
                out, err = _communicate(process, timeout_s, stop)
            except BaseException:
                process.kill()
                raise
            return subprocess.CompletedProcess(command, process.returncode, out, err)
    finally:
        os.close(theirs)
        os.close(ours)


def _communicate(
    process: subprocess.Popen[bytes], timeout_s: float, stop: threading.Event | None
) -> tuple[bytes, bytes]:
    end = monotonic() + timeout_s
    while True:
        try:
            return process.communicate(timeout=max(0.0, min(_POLL_S, end - monotonic())))
        except subprocess.TimeoutExpired:
            if stop is not None and stop.is_set():
                raise StoppedError("reading was stopped") from None
            if monotonic() >= end:
                raise


def confine(folder: Path, memory_bytes: int) -> None:
    """Limit this process, a child of `run_child`, and end it when its parent ends.

    Args:
        folder: Folder to remove if the parent ends.
        memory_bytes: Largest amount of private memory; without effect outside Linux.
    """
    threading.Thread(target=_end_with_parent, args=(folder,), daemon=True).start()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":  # elsewhere, the limit counts only part of the memory
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        most = memory_bytes if hard == resource.RLIM_INFINITY else min(memory_bytes, hard)
        resource.setrlimit(resource.RLIMIT_DATA, (most, hard))


def _end_with_parent(folder: Path) -> None:
    with suppress(OSError):
        while os.read(0, 1):
            pass
    shutil.rmtree(folder, ignore_errors=True)
    os._exit(ORPHANED)
