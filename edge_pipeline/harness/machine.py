"""What this machine tells of its processors: which, how busy, at what clock policy."""

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
    """Whether a process can choose its processors here."""
    return sys.platform == "linux"


def logical_cpus() -> int:
    """Processors of the machine, hyper-threads among them."""
    return psutil.cpu_count(logical=True) or 1


def allowed_cpus() -> list[int]:
    """Processors that this process may use."""
    if sys.platform == "linux":
        return sorted(os.sched_getaffinity(0))
    return list(range(logical_cpus()))


def busy_percent(cpus: Sequence[int]) -> dict[int, float]:
    """How busy each of `cpus` is, watched for 0.3 s."""
    percent = psutil.cpu_percent(interval=_WATCH_S, percpu=True)
    return {cpu: percent[cpu] if cpu < len(percent) else 0.0 for cpu in cpus}


def cores_of(cpus: Sequence[int]) -> dict[int, str]:
    """A name of the physical core of each of `cpus`; hyper-threads of a core share it."""
    return {
        cpu: _read(_CPUS / f"cpu{cpu}" / "topology" / "thread_siblings_list") or str(cpu)
        for cpu in cpus
    }


def choose_cpus(busy: Mapping[int, float], cores: Mapping[int, str], count: int) -> list[int]:
    """The `count` processors to pin to: of different cores first, then idle ones first.

    Args:
        busy: per cent by processor.
        cores: the core of each.
        count: at most as many as there are.
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
    """The processor's name."""
    for line in (_read(_CPUINFO) or "").splitlines():
        key, _, value = line.partition(":")
        if key.strip() == "model name":
            return value.strip()
    return platform.processor() or platform.machine()


def governor(cpus: Sequence[int]) -> str | None:
    """The frequency governor of `cpus`, None where there is none to read."""
    found = {_read(_CPUS / f"cpu{cpu}" / "cpufreq" / "scaling_governor") for cpu in cpus} - {None}
    return ", ".join(sorted(name for name in found if name)) or None


def turbo() -> bool | None:
    """Whether the clock may exceed its nominal rate; None where the system does not tell."""
    off = _read(_CPUS / "intel_pstate" / "no_turbo")
    if off is not None:
        return off == "0"
    on = _read(_CPUS / "cpufreq" / "boost")
    return None if on is None else on == "1"
