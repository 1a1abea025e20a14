"""Instructions of a run, counted by a plugin of QEMU at marks that the worker sets."""

from __future__ import annotations

import statistics
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from edge_pipeline.errors import JobError
from edge_pipeline.files import packaged
from edge_pipeline.harness.devices.runners import Place, ProcessRunner
from edge_pipeline.harness.process import PYTHON_WORKER
from edge_pipeline.record import Instructions

__all__ = ["ANSWER_S", "build_plugin", "count_instructions", "plugin_words", "read_marks"]

# Counts vary by less than 0.1 %, so a program that takes long under the emulator runs seldom.
_MANY, _FEW, _LONG_NS = 7, 3, 3e9
_METHOD = (
    "QEMU {} counts the instructions of all threads between two system calls of the worker, around "
    "the runtime's call, after the first run; those of the calls themselves are subtracted"
)
ANSWER_S = 3600.0
"""Longest time of a run in seconds, because QEMU computes each number of a vector by itself."""
# Versions of QEMU's plugin interface; it accepts some of them.
_INTERFACES = range(1, 10)
_BUILD_S = 60


def plugin_words(plugin: Path, out: Path) -> list[str]:
    """Return QEMU's options that load the plugin; a comma in a path is written twice."""
    file, target = (str(path).replace(",", ",,") for path in (plugin, out))
    return ["-plugin", f"{file},out={target}"]


def build_plugin(plugin: Path, is_accepted: Callable[[], bool]) -> None:
    """Compile the plugin with gcc, for the first version of the interface that QEMU accepts.

    Args:
        plugin: File to write.
        is_accepted: Function that tests whether QEMU runs a program with the plugin.

    Raises:
        JobError: If gcc fails, or QEMU accepts no version.
    """
    source = packaged("devices") / "emulator" / "count_instructions.c"
    for version in _INTERFACES:
        words = ["gcc", "-shared", "-fPIC", "-O2", f"-DPLUGIN_API={version}"]
        words += ["-o", str(plugin), str(source)]
        done = subprocess.run(words, capture_output=True, timeout=_BUILD_S, check=False)  # noqa: S603
        if done.returncode:
            raise JobError(f"gcc cannot compile {source}; install gcc and the headers of libc")
        if is_accepted():
            return
    raise JobError(
        "qemu-aarch64 accepts no plugin; install a version with support for plugins, such as "
        "Debian's package qemu-user"
    )


def read_marks(out: Path) -> list[int]:
    """Return the counts that the plugin wrote.

    Raises:
        JobError: If the file cannot be read.
    """
    try:
        return [int(line) for line in out.read_text(encoding="ascii").split()]
    except (OSError, ValueError) as error:
        raise JobError("the emulator's plugin wrote no counts") from error


def count_instructions(place: Place, words: Sequence[str], out: Path, qemu: str) -> Instructions:
    """Return the instructions of a job's run.

    Args:
        place: The job, with its artifact on the emulated machine.
        words: Command of the worker, with the plugin.
        out: File that the plugin writes.
        qemu: Version of QEMU.

    Raises:
        JobError: If the program cannot be run, or its runs cannot be counted.
    """
    backends = frozenset({place.job.artifact.manifest.backend})
    runner = ProcessRunner(PYTHON_WORKER, words, backends, answer_s=ANSWER_S)
    worker = runner.start(place)
    try:
        worker.load()
        (first,) = worker.run(1)  # it allocates memory
        count = _MANY if first.elapsed_ns < _LONG_NS else _FEW
        for _ in range(count):
            worker.ask("count")
    finally:
        worker.close()
    samples = _differences(read_marks(out), count)
    return Instructions(
        median=round(statistics.median(samples)), samples=samples, method=_METHOD.format(qemu)
    )


def _differences(marks: Sequence[int], count: int) -> tuple[int, ...]:
    """Return the instructions of each run, from three marks: two calls, the run and a call."""
    if len(marks) != 3 * count:
        raise JobError(f"the emulator counted {len(marks)} marks instead of {3 * count}")
    samples = []
    for first, before, after in zip(marks[::3], marks[1::3], marks[2::3], strict=True):
        samples.append((after - before) - (before - first))
    if min(samples) <= 0:
        raise JobError("the emulator counted no instructions in a run")
    return tuple(samples)
