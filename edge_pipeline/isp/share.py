"""Divide the cores and the memory among captures that are developed at once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from edge_pipeline.cores import usable_cores
from edge_pipeline.errors import InputError
from edge_pipeline.raw.limits import available_bytes, memory_for

__all__ = ["Share", "share_cores"]


class Share(NamedTuple):
    """The number of captures that are developed at once, and of threads for each."""

    jobs: int
    threads: int


def share_cores(
    captures: Sequence[Path],
    *,
    jobs: int | None,
    threads: int | None,
    cores: int | None = None,
    memory_bytes: int | None = None,
) -> Share:
    """Return the number of captures to develop at once, and of threads for each.

    One thread for each capture computes the most pictures in a given time, so as many captures are
    developed at once as there are cores, if the memory suffices. A capture is assumed to have one
    pixel for each byte of the largest file; compressed files have fewer bytes only rarely.

    Args:
        captures: Paths of the captures.
        jobs: The user's number of captures at once; None to choose it.
        threads: The user's number of threads for each capture; None to choose it.
        cores: Number of usable cores; None for those of this process.
        memory_bytes: Available memory; None for that of this machine.

    Raises:
        InputError: If `jobs` is not positive.
    """
    cores = usable_cores() if cores is None else cores
    if jobs is not None and jobs < 1:
        raise InputError(f"{jobs} jobs develop no capture; give --jobs 1 or more")
    if jobs is None:
        memory = available_bytes() if memory_bytes is None else memory_bytes
        largest = max((_size(capture) for capture in captures), default=0)
        fitting = memory // memory_for(largest)
        jobs = max(1, min(cores // max(1, threads or 1), fitting))
    jobs = min(jobs, max(1, len(captures)))
    return Share(jobs, max(1, cores // jobs) if threads is None else threads)


def _size(capture: Path) -> int:
    try:
        return capture.stat().st_size
    except OSError:  # developing it reports the fault
        return 0
