"""Facts about another Linux or Android machine, read from /proc and /sys over a link."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from edge_pipeline.errors import InputError
from edge_pipeline.harness.devices.arm_parts import processor_name
from edge_pipeline.harness.devices.link import Link
from edge_pipeline.record import Sensors

__all__ = ["Facts", "Files", "cores_for", "facts_of", "read_files", "sensors_of"]

Files = Mapping[str, str]

_CPU = "/sys/devices/system/cpu"
_BOARD = "/proc/device-tree/model"
_FACTS = (
    "/proc/self/status",
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/proc/loadavg",
    "/sys/class/dmi/id/product_name",
    f"{_CPU}/cpu[0-9]*/cpufreq/cpuinfo_max_freq",
    f"{_CPU}/cpu[0-9]*/cpufreq/scaling_governor",
)
_SENSORS = (
    "/sys/class/thermal/thermal_zone*/type",
    "/sys/class/thermal/thermal_zone*/temp",
    f"{_CPU}/cpu[0-9]*/cpufreq/scaling_cur_freq",
    *(f"/sys/class/power_supply/*/{name}" for name in ("capacity", "status", "type")),
    *(f"/sys/class/power_supply/*/{name}" for name in ("current_now", "voltage_now")),
)


@dataclass(frozen=True)
class Facts:
    """Facts that do not change during a measurement.

    Attributes:
        model: Model of the board; empty if unknown.
        processor: Name of the processor.
        cores: Number of logical processors.
        allowed: Processors that a command may use; others are offline or reserved.
        memory_bytes: Main memory in bytes.
        load_average_1min: Load; None if unknown.
        highest_khz: Highest clock rate of each processor that reports one.
        governors: Frequency governor of each processor that reports one.
    """

    model: str
    processor: str
    cores: int
    allowed: tuple[int, ...]
    memory_bytes: int
    load_average_1min: float | None
    highest_khz: Mapping[int, int] = field(default_factory=dict)
    governors: Mapping[int, str] = field(default_factory=dict)


def read_files(link: Link, patterns: tuple[str, ...]) -> dict[str, str]:
    """Return the contents of the readable files that match shell patterns, by path.

    One process reads all of them, because starting many is slow on small machines.

    Args:
        link: Connection to the machine.
        patterns: Patterns of this module; they are part of a script, so never a user's text.
    """
    script = f'grep -Hs "" {" ".join(patterns)} /dev/null'
    found: dict[str, str] = {}
    for line in link.run(["sh", "-c", script]).stdout.splitlines():
        path, _, text = line.partition(":")
        found[path] = found.get(path, "") + text + "\n"
    return {path: text.strip() for path, text in found.items()}


def facts_of(link: Link) -> Facts:
    """Read the facts of a machine."""
    files = read_files(link, _FACTS)
    cpuinfo = files.get("/proc/cpuinfo", "")
    memory = re.search(r"MemTotal:\s*(\d+)", files.get("/proc/meminfo", ""))
    load = files.get("/proc/loadavg", "").split()
    cores = max(1, len(re.findall(r"^processor\s*:", cpuinfo, re.MULTILINE)))
    # The file ends with a zero byte, which grep regards as a binary file.
    answer = link.run(["sh", "-c", f'[ -r {_BOARD} ] && tr -d "\\0" < {_BOARD}'])
    board = answer.stdout.strip() or files.get("/sys/class/dmi/id/product_name", "")
    return Facts(
        model=board,
        processor=processor_name(cpuinfo),
        cores=cores,
        allowed=_allowed(files.get("/proc/self/status", ""), cores),
        memory_bytes=int(memory[1]) * 1024 if memory else 1,
        load_average_1min=_number(load[0]) if load else None,
        highest_khz=_khz(files, "cpuinfo_max_freq"),
        governors=_by_cpu(files, "scaling_governor"),
    )


def sensors_of(link: Link) -> Sensors:
    """Read the sensors of a machine; implausible temperatures are left out."""
    files = read_files(link, _SENSORS)
    temperatures: dict[str, float] = {}
    for path, text in files.items():
        zone = re.fullmatch(r"/sys/class/thermal/thermal_zone(\d+)/temp", path)
        if zone and re.fullmatch(r"-?\d{1,9}", text):
            celsius = int(text) / 1000 if abs(int(text)) > 1000 else float(text)
            if -20 < celsius < 150:
                kind = files.get(path.removesuffix("temp") + "type", "zone")
                temperatures[f"{kind} {zone[1]}"] = celsius
    battery = _battery(files)
    return Sensors(
        temperatures_c=temperatures,
        clocks_mhz={cpu: khz / 1000 for cpu, khz in _khz(files, "scaling_cur_freq").items()},
        battery_percent=_number(battery.get("capacity")),
        charging=_is_charging(battery),
        power_w=_power(battery),
    )


def cores_for(cores: str | None, facts: Facts, threads: int) -> list[int] | None:
    """Return the processors to pin to: by default the fastest ones, if they are known.

    Args:
        cores: `big`, `little`, or numbers with commas between them; None for the default.
        facts: Facts of the machine.
        threads: Number of threads, at least 1.

    Raises:
        InputError: If the cores do not exist, or are fewer than the threads.
    """
    most = len(facts.allowed)
    if not 1 <= threads <= most:
        raise InputError(
            f"the number of threads must be from 1 to {most} on this device, got {threads}"
        )
    rates = {cpu: khz for cpu, khz in facts.highest_khz.items() if cpu in facts.allowed}
    if cores is None and len(set(rates.values())) < 2:
        return None
    if cores in (None, "big", "little"):
        if len(set(rates.values())) < 2:
            raise InputError(f"the device reports no faster and slower cores, got {cores!r}")
        order = sorted(rates, key=lambda cpu: (-rates[cpu], cpu))
        return sorted((order[::-1] if cores == "little" else order)[:threads])
    words = str(cores).split(",")
    chosen = [int(word) if re.fullmatch(r"\d{1,4}", word.strip()) else -1 for word in words]
    if not set(chosen) <= set(facts.allowed) or len(set(chosen)) < threads:
        known = ", ".join(map(str, facts.allowed))
        raise InputError(
            f"the cores must be `big`, `little`, or at least {threads} numbers of {known} with "
            f"commas between them, got {cores!r}"
        )
    return sorted(set(chosen))


def _allowed(status: str, cores: int) -> tuple[int, ...]:
    """Return the processors in `Cpus_allowed_list` of /proc/self/status, such as `0-3,6`."""
    found = re.search(r"^Cpus_allowed_list:\s*([\d,-]+)$", status, re.MULTILINE)
    listed: set[int] = set()
    for part in found[1].split(",") if found else ():
        first, _, last = part.partition("-")
        if first.isdecimal() and (last or first).isdecimal():
            listed |= set(range(int(first), min(int(last or first), 4095) + 1))
    return tuple(sorted(listed)) or tuple(range(cores))


def _by_cpu(files: Files, name: str) -> dict[int, str]:
    found = {}
    for path, text in files.items():
        match = re.fullmatch(rf"{_CPU}/cpu(\d+)/cpufreq/{name}", path)
        if match and text:
            found[int(match[1])] = text
    return found


def _khz(files: Files, name: str) -> dict[int, int]:
    found = _by_cpu(files, name).items()
    return {cpu: int(text) for cpu, text in found if re.fullmatch(r"\d{1,9}", text)}


def _battery(files: Files) -> dict[str, str]:
    """Return the values of the first power supply that is a battery, by name."""
    for path, text in sorted(files.items()):
        if path.endswith("/type") and path.startswith("/sys/class/power") and text == "Battery":
            folder = path.removesuffix("type")
            return {p.removeprefix(folder): v for p, v in files.items() if p.startswith(folder)}
    return {}


def _is_charging(battery: Mapping[str, str]) -> bool | None:
    status = battery.get("status")
    return None if status is None else status in ("Charging", "Full")


def _power(battery: Mapping[str, str]) -> float | None:
    """Return the power in watts; the kernel reports microamperes and microvolts."""
    current, voltage = _number(battery.get("current_now")), _number(battery.get("voltage_now"))
    return None if current is None or voltage is None else abs(current) * voltage / 1e12


def _number(text: str | None) -> float | None:
    return float(text) if text and re.fullmatch(r"-?\d{1,15}(\.\d{1,9})?", text) else None
