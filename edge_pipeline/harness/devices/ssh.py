"""Linux boards that `ssh` reaches, with the Python runtimes in an environment on the board."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence

from edge_pipeline.device_profile import load_profile, profile_names
from edge_pipeline.errors import InputError
from edge_pipeline.harness.devices.base import Attached, Device, Options
from edge_pipeline.harness.devices.board_python import BACKENDS, board_runners
from edge_pipeline.harness.devices.link import Link
from edge_pipeline.harness.devices.linked import Kind, LinkedDevice
from edge_pipeline.harness.devices.probe import Facts, sensors_of
from edge_pipeline.harness.devices.ssh_link import SshLink
from edge_pipeline.harness.process import PYTHON_WORKER
from edge_pipeline.record import Environment, Sensors

__all__ = ["attached", "open_device"]

# Bits of a Raspberry Pi's `vcgencmd get_throttled`: the clock is capped, throttled, or the soft
# limit of the temperature is active, now.
_THROTTLED_NOW = 0b1110


def open_device(address: str, options: Options | None = None, /) -> Device:
    """Return a board as an idle device.

    Args:
        address: `HOST`, `USER@HOST`, either with `:PORT`, or an alias of ~/.ssh/config.
        options: Options that the user gave.

    Raises:
        InputError: If the address is missing or invalid, or `ssh` is not installed.
    """
    if not address:
        raise InputError("the device ssh needs a host after a colon, as in ssh:pi@raspberrypi")
    options = options or Options()
    name = f"ssh:{address}"
    kind = Kind(
        runners=lambda link: board_runners(name, link, options.python, options.on_step),
        describe=_describe,
        sensors=_sensors,
    )
    return LinkedDevice(name, SshLink(address), kind)


def attached() -> Sequence[Attached]:
    """Return the boards that have a profile; others can be named by any host that ssh knows."""
    problem = None if shutil.which("ssh") else "the program ssh is not installed"
    backends = dict.fromkeys(BACKENDS, PYTHON_WORKER)
    profiles = [p for p in map(load_profile, profile_names()) if p.transport == "ssh"]
    boards = [
        Attached(p.name, f"{p.identity.maker} {p.identity.model} at {p.address}", backends, problem)
        for p in profiles
    ]
    return [*boards, Attached("ssh:HOST", "any Linux board that ssh reaches", backends, problem)]


def _describe(link: Link, facts: Facts) -> Environment:
    system = link.run(["uname", "-srm"]).stdout.strip()
    release = link.run(["cat", "/etc/os-release"]).stdout
    title = re.search(r'^PRETTY_NAME="?([^"\n]+)', release, re.MULTILINE)
    return Environment(
        system_name=facts.model or facts.processor,
        host_processor_model_name=facts.processor,
        host_processor_core_count=facts.cores,
        host_memory_bytes=facts.memory_bytes,
        operating_system=", ".join(filter(None, (title and title[1], system))) or "unknown",
    )


def _sensors(link: Link) -> Sensors:
    found = sensors_of(link)
    answer = link.run(["vcgencmd", "get_throttled"])
    bits = re.fullmatch(r"throttled=0x([0-9a-fA-F]{1,8})", answer.stdout.strip())
    if answer.code or bits is None:
        return found
    return found.model_copy(update={"throttled": bool(int(bits[1], 16) & _THROTTLED_NOW)})
