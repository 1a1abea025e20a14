"""Colour spaces of pictures: primaries, white point and transfer function."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from edge_pipeline.errors import InputError
from edge_pipeline.raw.colour import srgb_decode, srgb_encode

__all__ = [
    "ADOBE_GAMMA",
    "COLOUR_SPACES",
    "D65",
    "SRGB",
    "ColourSpace",
    "Curve",
    "colour_space",
]

Pair = tuple[float, float]
Curve = Literal["srgb", "gamma", "linear"]

# Source: IEC 61966-2-1, SMPTE EG 432-1, Adobe RGB (1998) and ITU-R BT.2020 state the same x, y.
D65: Pair = (0.3127, 0.3290)
# Source: Adobe RGB (1998) Color Image Encoding, 2005, section 4.3.1.2.
ADOBE_GAMMA = 563 / 256


@dataclass(frozen=True)
class ColourSpace:
    """A space of RGB colours with white D65.

    Attributes:
        name: Name by which users select the space.
        title: Name in the profile.
        red: Chromaticity x, y of the red primary.
        green: Chromaticity of the green primary.
        blue: Chromaticity of the blue primary.
        curve: Transfer function: that of sRGB, the exponent `ADOBE_GAMMA`, or linear.
        bits: Fewest bits per channel without visible steps.
    """

    name: str
    title: str
    red: Pair
    green: Pair
    blue: Pair
    curve: Curve
    bits: int = 8

    def to_xyz(self) -> NDArray[np.float64]:
        """Return the matrix, [3, 3], from linear light to CIE XYZ with white D65, Y = 1.

        Source: SMPTE RP 177-1993.
        """
        columns = np.stack([_xyz(*self.red), _xyz(*self.green), _xyz(*self.blue)], axis=1)
        amounts = np.linalg.solve(columns, _xyz(*D65))
        return np.asarray(columns * amounts, np.float64)

    def from_srgb(self) -> NDArray[np.float64]:
        """Return the matrix, [3, 3], from linear sRGB to this space's linear light."""
        if self == SRGB:
            return np.eye(3)
        return np.linalg.inv(self.to_xyz()) @ SRGB.to_xyz()

    def encode(self, linear: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
        """Encode linear light of any shape; values outside 0..1 are clipped."""
        if self.curve == "srgb":
            return srgb_encode(linear)
        light: NDArray[np.floating[Any]] = np.clip(linear, 0, 1)
        return light if self.curve == "linear" else np.power(light, 1 / ADOBE_GAMMA)

    def decode(self, encoded: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
        """Return the linear light of encoded values, 0..1, of any shape; inverse of `encode`."""
        if self.curve == "srgb":
            return srgb_decode(encoded)
        return encoded if self.curve == "linear" else np.power(encoded, ADOBE_GAMMA)

    def check_bits(self, bits: int) -> None:
        """Raise InputError if a picture of this space requires more bits per channel."""
        if bits < self.bits:
            raise InputError(
                f"the colour space {self.name} shows steps with {bits} bits per channel; "
                "write a .tiff, which has 16, or choose another colour space"
            )


def _xyz(x: float, y: float) -> NDArray[np.float64]:
    """Return XYZ of a chromaticity, with Y = 1."""
    return np.array([x / y, 1.0, (1 - x - y) / y])


# Source: IEC 61966-2-1.
SRGB = ColourSpace("srgb", "sRGB", (0.64, 0.33), (0.30, 0.60), (0.15, 0.06), "srgb")
# Source: SMPTE EG 432-1, with the transfer function of sRGB, as Apple defined it.
_P3 = ColourSpace("display-p3", "Display P3", (0.680, 0.320), (0.265, 0.690), (0.15, 0.06), "srgb")
# Source: Adobe RGB (1998) Color Image Encoding, 2005, section 4.3.1.
_ADOBE = ColourSpace(
    "adobe-rgb",
    "Compatible with Adobe RGB (1998)",
    (0.64, 0.33),
    (0.21, 0.71),
    (0.15, 0.06),
    "gamma",
)
# Source: ITU-R BT.2020-2, table 3.
_REC2020 = ColourSpace(
    "linear-rec2020",
    "Linear Rec. 2020",
    (0.708, 0.292),
    (0.170, 0.797),
    (0.131, 0.046),
    "linear",
    bits=16,
)
COLOUR_SPACES: dict[str, ColourSpace] = {s.name: s for s in (SRGB, _P3, _ADOBE, _REC2020)}


def colour_space(name: str) -> ColourSpace:
    """Return a colour space by its name; case, and spaces and underscores for dashes, are ignored.

    Raises:
        InputError: If there is no such space.
    """
    plain = name.strip().lower().replace("_", "-").replace(" ", "-")
    if plain not in COLOUR_SPACES:
        raise InputError(
            f"no colour space is called {name!r}; give one of {', '.join(COLOUR_SPACES)}"
        )
    return COLOUR_SPACES[plain]
