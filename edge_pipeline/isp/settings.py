"""Settings of the user for developing a capture."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from edge_pipeline.errors import InputError
from edge_pipeline.isp.colour_spaces import SRGB, colour_space
from edge_pipeline.isp.grain import DEFAULT_GRAIN
from edge_pipeline.isp.resize import Resize
from edge_pipeline.raw.highlights import HIGHLIGHTS, HighlightsName
from edge_pipeline.raw.illuminant import LARGEST_TINT
from edge_pipeline.raw.levels import Levels
from edge_pipeline.raw.profile import CameraProfile
from edge_pipeline.raw.tone import DEFAULT_TONE, TONES, ToneName
from edge_pipeline.raw.white_balance import is_kelvin

__all__ = ["Settings"]

_LARGEST_EXPOSURE_EV = 16.0


@dataclass(frozen=True)
class Settings:
    """Options of the user for developing a capture.

    Attributes:
        exposure_ev: Stops of light to add, -16..16, relative to LibRaw's brightness: if the
            brightest pixel is in the top quarter of the sensor's range, LibRaw makes it white.
        white_balance: `as-shot`, `daylight`, `auto`, kelvin as in `5500K`, or multipliers `R,G,B`.
        tint: Tint of a light given in kelvin, -150..150; see `raw.illuminant.Light`.
        grain: Share of the sensor's noise that is kept, 0..1; without effect on a network that
            outputs final sRGB.
        size: `full`, or `half` for the mean of each 2 x 2 pixels in linear light.
        profile: Profile of a headerless capture; None for files that LibRaw opens.
        bits: Bits per channel of the picture, 8 or 16.
        hot_pixels: `on` to repair hot and dead pixels, or `off`.
        fringes: `auto` to correct lateral colour fringes that are measured with certainty, or
            `off`.
        filters: `preview` to predict the filters from windows of the capture, `exact` to predict
            them from all of it.
        filters_from: Capture whose filters are used instead of each capture's own.
        resize: Largest size of the picture; None for the size of the capture.
        square_pixels: Whether the picture of a sensor whose pixels are not square is stretched.
        quality: Quality of a JPEG, 1..100; None for the default. Other formats ignore it.
        tone: `standard` for a camera's brightness and contrast, or `linear` for none; without
            effect on a network that outputs final sRGB.
        highlights: `clip` or `reconstruct`; None for `reconstruct` with the standard tone and for
            `clip` with linear tone, which has no room above white.
        colour_space: Name of the picture's colour space, one of `colour_spaces.COLOUR_SPACES`.
        levels: Levels to use instead of those of a file that LibRaw opens.
    """

    exposure_ev: float = 0.0
    white_balance: str = "as-shot"
    grain: float = DEFAULT_GRAIN
    size: Literal["full", "half"] = "full"
    profile: CameraProfile | None = None
    bits: Literal[8, 16] = 8
    hot_pixels: Literal["on", "off"] = "on"
    fringes: Literal["auto", "off"] = "auto"
    filters: Literal["preview", "exact"] = "preview"
    filters_from: Path | None = None
    resize: Resize | None = None
    square_pixels: bool = True
    quality: int | None = None
    tint: float = 0.0
    tone: ToneName = DEFAULT_TONE
    highlights: HighlightsName | None = None
    colour_space: str = SRGB.name
    levels: Levels | None = None

    def __post_init__(self) -> None:
        ev = self.exposure_ev
        if not math.isfinite(ev) or abs(ev) > _LARGEST_EXPOSURE_EV:
            raise InputError(f"the exposure is {ev} EV; give -16 to 16")
        if not 0 <= self.grain <= 1:
            raise InputError(f"the grain is {self.grain}; give 0, for none, to 1, for all of it")
        if self.size not in ("full", "half"):
            raise InputError(f"the size is {self.size!r}; give full or half")
        if self.filters not in ("preview", "exact"):
            raise InputError(f"the filters are {self.filters!r}; give preview or exact")
        if self.bits not in (8, 16):
            raise InputError(f"the picture has {self.bits} bits per channel; give 8 or 16")
        if self.quality is not None and not 1 <= self.quality <= 100:
            raise InputError(f"the JPEG quality is {self.quality}; give 1 to 100")
        if self.hot_pixels not in ("on", "off"):
            raise InputError(f"hot pixels is {self.hot_pixels!r}; give on or off")
        if self.fringes not in ("auto", "off"):
            raise InputError(f"fringes is {self.fringes!r}; give auto or off")
        if self.tint and not is_kelvin(self.white_balance):
            raise InputError(
                f"the tint is {self.tint:g} but the white balance is {self.white_balance!r}; "
                "a tint requires kelvin, as in 5500K"
            )
        if not abs(self.tint) <= LARGEST_TINT:
            raise InputError(f"the tint is {self.tint:g}; give -{LARGEST_TINT:g} to 150")
        if self.tone not in TONES:
            raise InputError(f"the tone is {self.tone!r}; give {' or '.join(TONES)}")
        if self.highlights not in (None, *HIGHLIGHTS):
            raise InputError(f"highlights is {self.highlights!r}; give {' or '.join(HIGHLIGHTS)}")
        object.__setattr__(self, "colour_space", colour_space(self.colour_space).name)

    @property
    def highlights_used(self) -> HighlightsName:
        """The choice for highlights, or its default."""
        return self.highlights or ("clip" if self.tone == "linear" else "reconstruct")

    def check_bits(self) -> None:
        """Raise InputError if the colour space requires more bits per channel."""
        colour_space(self.colour_space).check_bits(self.bits)

    def choices(self) -> dict[str, Any]:
        """Return the settings as the sidecar contains them."""
        return {
            "white_balance": self.white_balance,
            "exposure_ev": self.exposure_ev,
            "grain": self.grain,
            "size": self.size,
            "bits": self.bits,
            "hot_pixels": self.hot_pixels,
            "fringes": self.fringes,
            "filters": self.filters,
            "filters_from": None if self.filters_from is None else self.filters_from.name,
            "resize": None if self.resize is None else self.resize.text,
            "square_pixels": self.square_pixels,
            "quality": self.quality,
            "profile": None if self.profile is None else self.profile.name,
            "tint": self.tint,
            "tone": self.tone,
            "colour_space": self.colour_space,
        }
