"""Device profiles: identity, transport, runtimes, limits and measured speed of a device."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, ValidationError

from edge_pipeline.errors import InputError, first_fault
from edge_pipeline.files import packaged

__all__ = [
    "DEFAULT_TARGET",
    "CostBasis",
    "DeviceProfile",
    "Identity",
    "Limits",
    "Peaks",
    "load_profile",
    "profile_file",
    "profile_names",
]

# Profile that the compiler uses if no target is named.
DEFAULT_TARGET = "x86_epyc"

_FOLDER = "devices"
_SUFFIX = ".toml"
_NAME = re.compile(r"[a-z0-9][a-z0-9_]*")
_FILE_NAME = r"[A-Za-z0-9][A-Za-z0-9_.-]*"


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


class CostBasis(_Fields):
    """What the costs of the profile are measures of.

    Attributes:
        basis: `time` for times that were measured on the device, `instructions` for the numbers of
            instructions that an emulator counted, `other_device` for times of another device.
        how: Description of the measurement, which completes "the costs rest on".
    """

    basis: Literal["time", "instructions", "other_device"] = "time"
    how: str = "times of the device"


class DeviceProfile(_Fields):
    """Description of a device, read from `devices/NAME.toml` or from a file of the user.

    Attributes:
        name: Name of the file without its extension.
        identity: Maker, model and processor.
        transport: Way in which the device is reached: a kind of device of `bench`.
        address: Address of the device, such as a serial number or a host; empty if there is none.
        python: Path of a Python on the device that has numpy, packaging, psutil, pydantic,
            safetensors and the runtimes; None for an environment that `bench` makes there.
        runtimes: Runtimes that the device can run, by their names in `registry.RUNTIMES`.
        limits: Memory, cache and temperature limits.
        peaks: Peak speed, measured on one thread; None if no time was measured on the device.
        costs: Basis of the costs in the file beside the profile.
    """

    name: Annotated[str, Field(pattern=rf"^{_FILE_NAME}$")]
    identity: Identity
    transport: Literal["host", "adb", "ssh", "emulator", "cuda"]
    address: str = ""
    python: str | None = None
    runtimes: tuple[str, ...]
    limits: Limits
    peaks: Peaks | None = None
    costs: CostBasis = CostBasis()

    @property
    def costs_note(self) -> str | None:
        """A sentence on the basis of the costs; None if they are times of the device."""
        if self.costs.basis == "time":
            return None
        return f"the costs of convolutions for {self.name} rest on {self.costs.how}"


def profile_names() -> list[str]:
    """Return the names of the device profiles of this project, sorted."""
    return sorted(path.stem for path in packaged(_FOLDER).glob("*.toml"))


def profile_file(target: str, ending: str) -> Path:
    """Return the path of a file of a profile, such as its `costs.json`.

    Args:
        target: Name of a profile of this project, or the path of a profile's TOML file.
        ending: Part of the file's name after the profile's name and a dot.

    Raises:
        InputError: If no profile has that name, or there is no such file.
    """
    if target.endswith(_SUFFIX):
        path = Path(target)
        if not path.is_file():
            raise InputError(
                f"there is no device profile {target}; `edge-pipeline calibrate-device` writes one"
            )
        if not re.fullmatch(_FILE_NAME, path.stem):
            raise InputError(
                f"the name of the profile {target} must consist of letters, digits, dots, dashes "
                "and underscores"
            )
        return path.with_name(f"{path.stem}.{ending}")
    if not _NAME.fullmatch(target) or target not in profile_names():
        raise InputError(
            f"no device profile is called {target!r}; choose from {', '.join(profile_names())}, "
            "or give the path of a .toml file"
        )
    return packaged(_FOLDER) / f"{target}.{ending}"


def load_profile(target: str) -> DeviceProfile:
    """Read and return a profile.

    Args:
        target: Name of a profile of this project, or the path of a profile's TOML file.

    Raises:
        InputError: If there is no such profile, or its file is invalid; the message names the
            field.
    """
    path = profile_file(target, "toml")
    try:
        profile = DeviceProfile.model_validate(
            {"name": path.stem} | tomllib.loads(path.read_text(encoding="utf-8"))
        )
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"{path} cannot be read: {_reason(error)}") from error
    except ValidationError as error:
        where, reason = first_fault(error, "profile")
        raise InputError(f"{path} has an invalid {where}: {reason}") from error
    return profile


def _reason(error: Exception) -> str:
    if isinstance(error, OSError):
        return error.strerror or "the system gives no reason"
    if isinstance(error, UnicodeDecodeError):
        return "it is not text in UTF-8"
    return f"it is not TOML: {error}"
