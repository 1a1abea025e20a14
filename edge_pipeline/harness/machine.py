"""Information about this machine's processors: their names, load and clock settings."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

__all__ = [
    "allowed_cpus",
    "busy_percent",
    "can_pin",
    "choose_cpus",
    "cores_of",
    "cpu_name",
    "governor",
    "logical_cpus",
    "turbo",
]

_CPUS = Path("/sys/devices/system/cpu")
_CPUINFO = Path("/proc/cpuinfo")
_WATCH_S = 0.3


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError:
        return None


def can_pin() -> bool:
    """Return whether a process can choose its processors on this system."""
    return sys.platform == "linux"


def logical_cpus() -> int:
    """Return the number of the machine's logical processors, including hyper-threads."""
    return psutil.cpu_count(logical=True) or 1


def allowed_cpus() -> list[int]:
    """Return the processors that this process may use."""
    if sys.platform == "linux":
        return sorted(os.sched_getaffinity(0))
    return list(range(logical_cpus()))


def busy_percent(cpus: Sequence[int]) -> dict[int, float]:
    """Return the load of each processor in percent, measured over 0.3 s."""
    percent = psutil.cpu_percent(interval=_WATCH_S, percpu=True)
    return {cpu: percent[cpu] if cpu < len(percent) else 0.0 for cpu in cpus}


def cores_of(cpus: Sequence[int]) -> dict[int, str]:
    """Return a name of the physical core of each processor; hyper-threads share a core."""
    return {
        cpu: _read(_CPUS / f"cpu{cpu}" / "topology" / "thread_siblings_list") or str(cpu)
        for cpu in cpus
    }


def choose_cpus(busy: Mapping[int, float], cores: Mapping[int, str], count: int) -> list[int]:
    """Return `count` processors to pin to, idle ones first, each on its own core if possible.

    Args:
        busy: Load in percent by processor.
        cores: Core of each processor.
        count: Number of processors, at most `len(busy)`.
    """
    by_load = sorted(busy, key=lambda cpu: (busy[cpu], cpu))
    first: list[int] = []
    second: list[int] = []
    taken: set[str] = set()
    for cpu in by_load:
        (second if cores[cpu] in taken else first).append(cpu)
        taken.add(cores[cpu])
    return sorted((first + second)[:count])


def cpu_name() -> str:
    """Return the name of the processor."""
    for line in (_read(_CPUINFO) or "").splitlines():
        key, _, value = line.partition(":")
        if key.strip() == "model name":
            return value.strip()
    return platform.processor() or platform.machine()


def governor(cpus: Sequence[int]) -> str | None:
    """Return the frequency governors of `cpus`, or None if the system does not report any."""
    found = {_read(_CPUS / f"cpu{cpu}" / "cpufreq" / "scaling_governor") for cpu in cpus} - {None}
    return ", ".join(sorted(name for name in found if name)) or None


def turbo() -> bool | None:
    """Return whether the clock may exceed its nominal rate, or None if unknown."""
    off = _read(_CPUS / "intel_pstate" / "no_turbo")
    if off is not None:
        return off == "0"
    on = _read(_CPUS / "cpufreq" / "boost")
    return None if on is None else on == "1"
