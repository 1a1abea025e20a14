"""Device profiles: what a device is, how it is reached, what runs on it, what it can take."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, ValidationError

from edge_pipeline.errors import InputError
from edge_pipeline.files import packaged

__all__ = ["DEFAULT_DEVICE", "DeviceProfile", "device_file", "device_names", "load_device"]

# What is compiled for when no device is named.
DEFAULT_DEVICE = "x86_epyc"

_FOLDER = "devices"
_NAME = re.compile(r"[a-z0-9][a-z0-9_]*")


class _Fields(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Identity(_Fields):
    """What the device is; `arch` as uname has it."""

    maker: str
    model: str
    processor: str
    arch: Literal["x86_64", "aarch64", "armv7l"]
    cores: PositiveInt


class Limits(_Fields):
    """What it can take; None where nobody knows.

    Attributes:
        memory_mb: main memory.
        cache_kb: second-level cache of a core.
        throttles_at_c: the temperature at which clocks are lowered, in degrees Celsius.
    """

    memory_mb: PositiveInt
    cache_kb: PositiveInt | None = None
    throttles_at_c: PositiveFloat | None = None


class Peaks(_Fields):
    """What was measured on one thread, as `how` says.

    Attributes:
        gflops: of a 64 -> 64 3x3 convolution in fp32; a multiplication and an addition are two.
        copy_gb_s: bytes copied a second, 1e9; each is read and written.
        how: tool, date, and what else ran.
    """

    gflops: PositiveFloat
    copy_gb_s: PositiveFloat
    how: str


class DeviceProfile(_Fields):
    """A device, as `devices/NAME.toml` describes it.

    Attributes:
        name: the file's name without its ending.
        identity: what it is.
        transport: how it is reached.
        runtimes: those it can run, as in `registry.RUNTIMES`.
        limits: memory and heat.
        peaks: measured, one thread.
    """

    name: Annotated[str, Field(pattern=_NAME.pattern)]
    identity: Identity
    transport: Literal["host", "adb", "ssh"]
    runtimes: tuple[str, ...]
    limits: Limits
    peaks: Peaks


def device_names() -> list[str]:
    """The profiles that come with the project, sorted."""
    return sorted(path.stem for path in packaged(_FOLDER).glob("*.toml"))


def device_file(name: str, ending: str) -> Path:
    """Where a file of a device lies, such as `costs.json`.

    Args:
        name: the device's.
        ending: what follows the name and a dot.

    Raises:
        InputError: no profile has that name.
    """
    if not _NAME.fullmatch(name) or name not in device_names():
        raise InputError(f"no device is called {name!r}; there is {', '.join(device_names())}")
    return packaged(_FOLDER) / f"{name}.{ending}"


def load_device(name: str) -> DeviceProfile:
    """Read a profile.

    Raises:
        InputError: no profile has that name, or its file is wrong; the field is named.
    """
    path = device_file(name, "toml")
    try:
        profile = DeviceProfile.model_validate(
            {"name": name} | tomllib.loads(path.read_text(encoding="utf-8"))
        )
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"{path} cannot be read: {error}") from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise InputError(f"{path} has a wrong {where}: {first['msg']}") from error
    return profile
