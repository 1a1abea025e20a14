"""Information about this machine: processors, load, clock settings, sensors."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

from edge_pipeline.errors import InputError
from edge_pipeline.record import Sensors

__all__ = [
    "allowed_cpus",
    "busy_percent",
    "can_pin",
    "choose_cpus",
    "cores_named",
    "cores_of",
    "cpu_name",
    "governor",
    "logical_cpus",
    "sensors",
    "system_name",
    "turbo",
]

_CPUS = Path("/sys/devices/system/cpu")
_DMI = Path("/sys/class/dmi/id")
_MODEL = Path("/proc/device-tree/model")
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


def cores_named(cores: str | None, allowed: Sequence[int]) -> list[int]:
    """Return the processors that the user named, or all allowed ones.

    Args:
        cores: `big`, `little`, or numbers with commas between them; None for all.
        allowed: Processors that may be used.

    Raises:
        InputError: If the cores do not exist, or are all equally fast.
    """
    if cores is None:
        return list(allowed)
    if cores in ("big", "little"):
        return _cluster(cores, {cpu: _highest_khz(cpu) for cpu in allowed})
    chosen = [int(word) if word.strip().isdecimal() else -1 for word in cores.split(",")]
    if not set(chosen) <= set(allowed):
        known = ", ".join(map(str, allowed))
        raise InputError(
            f"the cores must be `big`, `little`, or numbers of {known} with commas between them, "
            f"got {cores!r}"
        )
    return sorted(set(chosen))


def _cluster(kind: str, khz: Mapping[int, int | None]) -> list[int]:
    rates = {rate for rate in khz.values() if rate is not None}
    if len(rates) < 2:
        raise InputError(
            f"the cores of this machine are all equally fast; {kind} ones do not exist"
        )
    rate = max(rates) if kind == "big" else min(rates)
    return [cpu for cpu, own in khz.items() if own == rate]


def _highest_khz(cpu: int) -> int | None:
    text = _read(_CPUS / f"cpu{cpu}" / "cpufreq" / "cpuinfo_max_freq")
    return int(text) if text else None


def sensors(cpus: Sequence[int]) -> Sensors:
    """Return the temperatures, the battery's state and the clock rates of `cpus`."""
    temperatures: dict[str, float] = {}
    if hasattr(psutil, "sensors_temperatures"):  # not on macOS and Windows
        for chip, entries in psutil.sensors_temperatures().items():
            for number, entry in enumerate(entries):
                temperatures[f"{chip} {entry.label or number}"] = float(entry.current)
    battery = psutil.sensors_battery() if hasattr(psutil, "sensors_battery") else None
    clocks = {cpu: _read(_CPUS / f"cpu{cpu}" / "cpufreq" / "scaling_cur_freq") for cpu in cpus}
    return Sensors(
        temperatures_c=temperatures,
        battery_percent=None if battery is None else float(battery.percent),
        charging=None if battery is None else bool(battery.power_plugged),
        clocks_mhz={cpu: int(khz) / 1000 for cpu, khz in clocks.items() if khz},
    )


def system_name() -> str:
    """Return the maker and model of the machine, or the name of its processor."""
    board = _read(_MODEL)
    if board:
        return board.rstrip("\0")
    parts = [_read(_DMI / "sys_vendor"), _read(_DMI / "product_name")]
    return " ".join(part for part in parts if part) or cpu_name()


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
