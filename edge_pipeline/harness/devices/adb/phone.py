"""Description, sensors and cores of an Android device."""

from __future__ import annotations

import re
from collections.abc import Mapping

from edge_pipeline.harness.devices.link import Link
from edge_pipeline.harness.devices.probe import Facts, sensors_of
from edge_pipeline.record import Environment, Sensors

__all__ = ["abis_of", "environment_of", "has_package", "phone_sensors", "properties_of"]

# Android's PowerManager.THERMAL_STATUS_*, by their numbers.
_THERMAL = ("none", "light", "moderate", "severe", "critical", "emergency", "shutdown")
# From this status on, the system lowers clock rates so that users notice it.
_THROTTLED_FROM = 2
_NEXT = "@@ thermalservice"
_CHARGING = {"2": True, "5": True, "3": False, "4": False}  # BatteryManager.BATTERY_STATUS_*


def properties_of(link: Link) -> dict[str, str]:
    """Return the system properties of a device."""
    text = link.run(["getprop"]).stdout
    return dict(re.findall(r"^\[(.+?)\]: \[(.*)\]\s*$", text, re.MULTILINE))


def abis_of(properties: Mapping[str, str]) -> tuple[str, ...]:
    """Return the ABIs that a device executes, the preferred one first."""
    listed = properties.get("ro.product.cpu.abilist") or properties.get("ro.product.cpu.abi", "")
    return tuple(abi for abi in listed.split(",") if abi)


def environment_of(known: Mapping[str, str], facts: Facts) -> Environment:
    """Return the description of a device without its settings, from its properties and facts."""
    maker, model = known.get("ro.product.manufacturer", ""), known.get("ro.product.model", "")
    if maker and model.lower().startswith(maker.lower()):
        maker = ""
    chip = [known.get(f"ro.soc.{name}", "") for name in ("manufacturer", "model")]
    board = known.get("ro.board.platform") or known.get("ro.hardware") or facts.processor
    abis = abis_of(known) or ("unknown ABI",)
    return Environment(
        system_name=" ".join(word for word in (maker, model) if word) or "Android device",
        host_processor_model_name=" ".join(word for word in chip if word) or board,
        host_processor_core_count=facts.cores,
        host_memory_bytes=facts.memory_bytes,
        operating_system=f"Android {known.get('ro.build.version.release', 'unknown')} (API "
        f"{known.get('ro.build.version.sdk', 'unknown')}) {abis[0]}",
    )


def has_package(link: Link, package: str) -> bool:
    """Return whether an app is installed."""
    found = link.run(["pm", "path", package])
    return found.code == 0 and found.stdout.strip().startswith("package:")


def phone_sensors(link: Link) -> Sensors:
    """Return the readings of a device's sensors: files in /sys, and the system's services.

    Newer Android versions hide the files from adb's user; then the services are the source.
    """
    found = sensors_of(link)
    text = link.run(["sh", "-c", f"dumpsys battery; echo {_NEXT}; dumpsys thermalservice"]).stdout
    services, _, thermal = text.partition(_NEXT)
    battery = _fields(services)
    status = re.search(r"Thermal Status:\s*(\d+)", thermal)
    level = int(status[1]) if status else None
    temperatures = dict(found.temperatures_c) | _service_temperatures(thermal)
    if "temperature" in battery:
        temperatures["battery"] = float(battery["temperature"]) / 10
    percent, charging = found.battery_percent, found.charging
    if "level" in battery:
        percent = 100 * float(battery["level"]) / float(battery.get("scale", "100"))
        charging = _CHARGING.get(battery.get("status", ""), charging)
    return found.model_copy(
        update={
            "temperatures_c": temperatures,
            "battery_percent": percent,
            "charging": charging,
            "thermal_status": None if level is None else _THERMAL[min(level, len(_THERMAL) - 1)],
            "throttled": None if level is None else level >= _THROTTLED_FROM,
        }
    )


def _fields(text: str) -> dict[str, str]:
    """Return the numbers of `dumpsys battery` by name."""
    return dict(re.findall(r"^\s*(\w+): (-?\d+)\s*$", text, re.MULTILINE))


def _service_temperatures(text: str) -> dict[str, float]:
    """Return the temperatures of `dumpsys thermalservice`, the current ones if it has both."""
    current = text.partition("Current temperatures from HAL")[2] or text
    pairs = re.findall(r"Temperature\{mValue=(-?[\d.]+), mType=-?\d+, mName=([^,}]+)", current)
    return {name: float(value) for value, name in pairs if -20 < float(value) < 150}
