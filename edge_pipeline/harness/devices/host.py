"""This machine as a device: its processors, with the runtimes that are installed."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence

from edge_pipeline.errors import InputError
from edge_pipeline.harness import machine
from edge_pipeline.harness.devices.base import Attached, Device, Options
from edge_pipeline.harness.devices.this_machine import ThisMachine, system_text
from edge_pipeline.harness.process import PYTHON_WORKER
from edge_pipeline.registry import RUNTIMES

__all__ = ["attached", "open_device"]


def open_device(address: str = "", _options: Options | None = None, /) -> Device:
    """Return this machine as an idle device.

    Raises:
        InputError: If an address is given.
    """
    if address:
        raise InputError(f"the device host has no address, got {address!r}")
    return ThisMachine("host")


def attached() -> Sequence[Attached]:
    """Return this machine, with the runtimes that are installed."""
    backends = {
        name: PYTHON_WORKER
        for name in RUNTIMES.names()
        if importlib.util.find_spec(RUNTIMES.load(name).PACKAGE) is not None
    }
    return [Attached("host", f"{machine.cpu_name()}, {system_text()}", backends)]
