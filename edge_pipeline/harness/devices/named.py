"""Names of devices: a kind, with an address after a colon for those that have one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import cast

from edge_pipeline.device_profile import load_profile, profile_names
from edge_pipeline.errors import EdgePipelineError, InputError
from edge_pipeline.harness.devices.base import Attached, Device, DeviceModule, Options
from edge_pipeline.record import Peaks
from edge_pipeline.registry import DEVICES

__all__ = ["attached_devices", "check_name", "open_named", "peaks_of", "place_of"]


def open_named(name: str, options: Options | None = None) -> Device:
    """Return the idle device called `name`.

    Args:
        name: A kind of device (`host`, `cuda`, `emulator`, `adb`, `adb:SERIAL`, `ssh:HOST`, `ios`),
            or the name of a profile in `devices/`.
        options: Options that the user gave.

    Raises:
        UnknownNameError: If there is no such kind or profile.
        InputError: If the address is invalid, or missing.
        MissingExtraError: If a package is not installed.
    """
    kind, address, python = _parts(name)
    options = options or Options()
    return _module(kind).open_device(address, replace(options, python=options.python or python))


def check_name(name: str) -> None:
    """Check that a kind of device exists and that its packages are installed.

    Raises:
        UnknownNameError: If there is no such kind or profile.
    """
    _module(_parts(name)[0])


def place_of(name: str) -> tuple[str, str]:
    """Return the kind of the device called `name`, and its address; that of a profile for its name.

    Raises:
        InputError: If there is no address after a colon.
    """
    kind, address, _ = _parts(name)
    return kind, address


def peaks_of(name: str) -> Peaks | None:
    """Return the peak speed with one thread of the device called `name`.

    None unless `name` is that of a profile with peaks: a kind of device may be any machine.
    """
    if name not in profile_names() or name in DEVICES:
        return None
    peaks = load_profile(name).peaks
    if peaks is None:
        return None
    return Peaks(gflops=peaks.gflops, copy_gb_s=peaks.copy_gb_s, how=peaks.how)


def attached_devices() -> Iterator[Attached]:
    """Yield the devices of every kind that are attached, or the reason why a kind has none."""
    for kind in DEVICES.names():
        try:
            yield from _module(kind).attached()
        except EdgePipelineError as error:
            yield Attached(kind, "", {}, str(error))


def _parts(name: str) -> tuple[str, str, str | None]:
    """Return the kind and the address of a name, and the Python that its profile states."""
    kind, colon, address = name.partition(":")
    if colon and not address:
        raise InputError(f"the device {name!r} has no address after the colon")
    if not colon and kind not in DEVICES and kind in profile_names():
        profile = load_profile(kind)
        return profile.transport, profile.address, profile.python
    return kind, address, None


def _module(kind: str) -> DeviceModule:
    return cast(DeviceModule, DEVICES.load(kind))
