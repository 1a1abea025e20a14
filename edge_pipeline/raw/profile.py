"""Camera profiles: the properties of a capture that a headerless file does not contain."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from edge_pipeline.errors import InputError
from edge_pipeline.files import packaged
from edge_pipeline.raw.cfa import PATTERNS
from edge_pipeline.raw.colour import parse_gains
from edge_pipeline.raw.noise import NoiseModel

__all__ = ["CameraProfile", "NoiseFields", "load_profile", "parse_profile", "profile_names"]

PackingName = Literal["u8", "u16le", "u16be", "mipi10", "mipi12", "packed12le"]
# Smallest and largest number of bits that each packing can hold.
_BITS: Mapping[str, tuple[int, int]] = {
    "u8": (1, 8),
    "u16le": (1, 16),
    "u16be": (1, 16),
    "mipi10": (10, 10),
    "mipi12": (12, 12),
    "packed12le": (12, 12),
}
_MOST_PIXELS = 1 << 16


def _upper(value: object) -> object:
    return value.upper() if isinstance(value, str) else value


def _known_order(value: str) -> str:
    if value not in PATTERNS:
        raise ValueError(f"must be one of {', '.join(PATTERNS)}")
    return value


def _numbers(value: object) -> object:
    """Convert a number or text with commas to a tuple; return other values unchanged."""
    if isinstance(value, str):
        return tuple(value.split(","))
    return (value,) if isinstance(value, int | float) else value


def _four(value: object) -> object:
    """Return four black levels: repeat a single level, check that a list has one or four."""
    numbers = _numbers(value)
    if isinstance(numbers, list | tuple) and len(numbers) not in (1, 4):
        raise ValueError("give one level, or four for R, G on red rows, G on blue rows, B")
    return numbers * 4 if isinstance(numbers, tuple) and len(numbers) == 1 else numbers


def _gains(value: object) -> object:
    """Return multipliers R, G, B scaled so that G is 1."""
    if value is None:
        return None
    numbers = _numbers(value)
    if not isinstance(numbers, list | tuple):
        return value
    try:
        return parse_gains(",".join(str(number) for number in numbers))
    except InputError as error:
        raise ValueError(str(error)) from error


Level = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Row = tuple[Finite, Finite, Finite]


class NoiseFields(BaseModel):
    """Noise parameters of a profile: variance a x + b^2 on the normalised raw value x."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    a: Level
    b: Level

    def model(self) -> NoiseModel:
        """Return these parameters as the noise model that the rest of the package uses."""
        return NoiseModel(self.a, self.b)


class CameraProfile(BaseModel):
    """A camera whose captures are bare pixel values.

    Attributes:
        name: Name of the profile.
        width: Number of columns.
        height: Number of rows.
        bits: Number of bits of a value; the low bits in u16le and u16be.
        packing: Layout of the values in bytes, see `headerless`.
        cfa: Bayer order at the top left corner.
        black: Black levels for R, G on red rows, G on blue rows, B; one number applies to all.
        white: White level, the value at which the sensor saturates; 2^bits - 1 by default.
        wb: White balance multipliers, scaled to G = 1; None if they are not known.
        xyz_to_camera: Matrix from CIE XYZ to camera RGB; None if it is not known.
        noise: Noise of the sensor; None if it was not measured.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = "options"
    width: Annotated[int, Field(ge=2, le=_MOST_PIXELS)]
    height: Annotated[int, Field(ge=2, le=_MOST_PIXELS)]
    bits: Annotated[int, Field(ge=1, le=16)]
    packing: PackingName = "u16le"
    cfa: Annotated[str, BeforeValidator(_upper), AfterValidator(_known_order)]
    black: Annotated[tuple[Level, Level, Level, Level], BeforeValidator(_four)] = (0, 0, 0, 0)
    white: Level = Field(default=math.nan, validate_default=False)
    wb: Annotated[Row | None, BeforeValidator(_gains)] = None
    xyz_to_camera: tuple[Row, Row, Row] | None = None
    noise: NoiseFields | None = None

    @model_validator(mode="before")
    @classmethod
    def _default_white(cls, fields: Any) -> Any:
        """Set the white level to the largest value if the profile states none."""
        if isinstance(fields, dict) and fields.get("white") is None:
            bits = fields.get("bits")
            if isinstance(bits, int):
                return {**fields, "white": (1 << min(max(bits, 0), 16)) - 1}
        return fields

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        least, most = _BITS[self.packing]
        if not least <= self.bits <= most:
            allowed = f"{most}" if least == most else f"{least} to {most}"
            raise ValueError(f"packing {self.packing} supports {allowed} bits, got {self.bits}")
        if self.white > 1 << self.bits:
            raise ValueError(f"white level {self.white:g} does not fit into {self.bits} bits")
        if max(self.black) >= self.white:
            raise ValueError(
                f"black level {max(self.black):g} must be under the white level {self.white:g}"
            )
        return self


def parse_profile(fields: Mapping[str, object], origin: str) -> CameraProfile:
    """Check a profile's fields and return the profile.

    Args:
        fields: Fields as in the TOML files. `black` and `wb` can also be text with commas, and a
            value of None counts as not given; both occur with command line options.
        origin: Source of the fields, for the message: the path of a file or "the options".

    Raises:
        InputError: If a field is missing, unknown or invalid; the message names all missing
            fields, or else the first invalid one.
    """
    given = {name: value for name, value in fields.items() if value is not None}
    try:
        return CameraProfile.model_validate(given)
    except ValidationError as error:
        faults = error.errors()
        missing = [".".join(map(str, f["loc"])) for f in faults if f["type"] == "missing"]
        if missing:
            raise InputError(f"camera profile of {origin}: {_are_missing(missing)}") from error
        first = faults[0]
        place = ".".join(str(part) for part in first["loc"])
        message = first["msg"].removeprefix("Value error, ")
        message = message[:1].lower() + message[1:]
        if first["type"] == "extra_forbidden":
            message = f"is not known; the fields are {', '.join(CameraProfile.model_fields)}"
        elif place:
            message = f"is {first['input']!r}: {message}"
        raise InputError(
            f"camera profile of {origin}: {place} {message}".replace(":  ", ": ")
        ) from error


def _are_missing(names: list[str]) -> str:
    *others, last = names
    return f"{', '.join(others)} and {last} are missing" if others else f"{last} is missing"


def profile_names() -> list[str]:
    """Return the sorted names of the profiles that come with the package."""
    return sorted(path.stem for path in (packaged("calibration") / "cameras").glob("*.toml"))


def load_profile(name_or_path: str | Path) -> CameraProfile:
    """Load a camera profile.

    Args:
        name_or_path: Name from `profile_names`, or the path of a TOML file.

    Raises:
        InputError: If the profile does not exist, is not TOML, or has an invalid field.
    """
    path = Path(name_or_path)
    if path.suffix != ".toml":
        path = packaged("calibration") / "cameras" / f"{name_or_path}.toml"
    try:
        fields = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(
            f"no camera profile is called {str(name_or_path)!r}; expected one of "
            f"{', '.join(profile_names())}, or the path of a .toml file"
        ) from error
    except OSError as error:
        raise InputError(f"camera profile {path} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"camera profile {path} is not valid TOML: {error}") from error
    return parse_profile({"name": path.stem, **fields}, str(path))
