"""Android devices that adb reaches."""

from __future__ import annotations

from collections.abc import Sequence

from edge_pipeline.errors import EdgePipelineError, MissingExtraError
from edge_pipeline.harness.devices.adb.link import AdbLink, states
from edge_pipeline.harness.devices.adb.phone import (
    abis_of,
    environment_of,
    phone_sensors,
    properties_of,
)
from edge_pipeline.harness.devices.adb.runners import runners_of
from edge_pipeline.harness.devices.base import Attached, Device, Options
from edge_pipeline.harness.devices.linked import Kind, LinkedDevice
from edge_pipeline.harness.devices.probe import facts_of

__all__ = ["attached", "open_device"]


def open_device(address: str, options: Options, /) -> Device:
    """Return an attached Android device.

    Args:
        address: Serial number, or HOST:PORT of a device on the network; empty for the only one.
        options: Options that the user gave.

    Raises:
        InputError: If the device is not attached or not ready, or is one of several.
        MissingExtraError: If adbutils is not installed.
    """
    link = AdbLink(address)
    link.connect()
    known = properties_of(link)
    kind = Kind(
        lambda link: runners_of(link, abis_of(known), options),
        lambda _link, facts: environment_of(known, facts),
        sensors=phone_sensors,
    )
    return LinkedDevice(f"adb:{link.serial}", link, kind)


def attached() -> Sequence[Attached]:
    """Return the attached devices, or the reason why there are none."""
    try:
        found = states()
    except MissingExtraError as error:
        return [Attached("adb", "Android devices", {}, str(error))]
    except EdgePipelineError as error:
        return [Attached("adb", "Android devices", {}, str(error))]
    if not found:
        return [Attached("adb", "Android devices", {}, "no device is attached to adb")]
    return [_one(serial) for serial in sorted(found)]


def _one(serial: str) -> Attached:
    link = AdbLink(serial)
    try:
        link.connect()
        known = properties_of(link)
        environment = environment_of(known, facts_of(link))
        backends: dict[str, str] = {}
        for runner in reversed(runners_of(link, abis_of(known), Options())):
            backends |= dict.fromkeys(sorted(runner.backends), runner.name)
    except EdgePipelineError as error:
        return Attached(f"adb:{serial}", "Android device", {}, str(error))
    text = f"{environment.system_name}, {environment.operating_system}"
    problem = None if backends else "no runner; see docs/how-to/devices.md"
    return Attached(f"adb:{serial}", text, backends, problem)
