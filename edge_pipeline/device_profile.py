"""Device profiles: identity, transport, runtimes, limits and measured speed of a device."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, ValidationError

from edge_pipeline.errors import InputError, first_fault
from edge_pipeline.files import packaged

__all__ = ["DEFAULT_TARGET", "DeviceProfile", "load_profile", "profile_file", "profile_names"]

# Profile that the compiler uses if no target is named.
DEFAULT_TARGET = "x86_epyc"

_FOLDER = "devices"
_NAME = re.compile(r"[a-z0-9][a-z0-9_]*")


class _Fields(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Identity(_Fields):
    """Identity of a device; `arch` is the machine name that uname prints."""

    maker: str
    model: str
    processor: str
    arch: Literal["x86_64", "aarch64", "armv7l"]
    cores: PositiveInt


class Limits(_Fields):
    """Limits of a device; None if unknown.

    Attributes:
        memory_mb: Main memory in megabytes.
        cache_kb: Second-level cache of one core in kilobytes.
        throttles_at_c: Temperature at which clock rates are lowered, in degrees Celsius.
    """

    memory_mb: PositiveInt
    cache_kb: PositiveInt | None = None
    throttles_at_c: PositiveFloat | None = None


class Peaks(_Fields):
    """Peak speed of a device, measured on one thread.

    Attributes:
        gflops: Speed of a 64 -> 64 3x3 convolution in fp32, in 1e9 operations per second; a
            multiplication and an addition count as two operations.
        copy_gb_s: Copied bytes per second, in 1e9; each byte is read and written.
        how: How it was measured: the tool, the date, and the load on the machine.
    """

    gflops: PositiveFloat
    copy_gb_s: PositiveFloat
    how: str


class DeviceProfile(_Fields):
    """Description of a device, read from `devices/NAME.toml`.

    Attributes:
        name: Name of the file without its extension.
        identity: Maker, model and processor.
        transport: Way in which the device is reached: a kind of device of `bench`.
        address: Address of the device, such as a serial number or a host; empty if there is none.
        python: Path of a Python on the device that has numpy, packaging, psutil, pydantic,
            safetensors and the runtimes; None for an environment that `bench` makes there.
        runtimes: Runtimes that the device can run, by their names in `registry.RUNTIMES`.
        limits: Memory, cache and temperature limits.
        peaks: Peak speed, measured on one thread.
    """

    name: Annotated[str, Field(pattern=_NAME.pattern)]
    identity: Identity
    transport: Literal["host", "adb", "ssh", "emulator", "cuda"]
    address: str = ""
    python: str | None = None
    runtimes: tuple[str, ...]
    limits: Limits
    peaks: Peaks


def profile_names() -> list[str]:
    """Return the names of the device profiles of this project, sorted."""
    return sorted(path.stem for path in packaged(_FOLDER).glob("*.toml"))


def profile_file(name: str, ending: str) -> Path:
    """Return the path of a file of a profile, such as its `costs.json`.

    Args:
        name: Name of the profile.
        ending: Part of the file's name after the profile's name and a dot.

    Raises:
        InputError: If no profile has that name.
    """
    if not _NAME.fullmatch(name) or name not in profile_names():
        raise InputError(
            f"no device profile is called {name!r}; choose from {', '.join(profile_names())}"
        )
    return packaged(_FOLDER) / f"{name}.{ending}"


def load_profile(name: str) -> DeviceProfile:
    """Read and return a profile.

    Raises:
        InputError: If no profile has that name, or if its file is invalid; the message names the
            field.
    """
    path = profile_file(name, "toml")
    try:
        profile = DeviceProfile.model_validate(
            {"name": name} | tomllib.loads(path.read_text(encoding="utf-8"))
        )
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"{path} cannot be read: {error}") from error
    except ValidationError as error:
        where, reason = first_fault(error, "profile")
        raise InputError(f"{path} has an invalid {where}: {reason}") from error
    return profile
