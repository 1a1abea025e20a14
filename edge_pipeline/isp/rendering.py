"""Prepare a capture's mosaic for the network, and the conversion of the network's output."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from edge_pipeline.isp.canvas import ColourConversion, upright_size
from edge_pipeline.isp.colour_spaces import COLOUR_SPACES
from edge_pipeline.isp.resize import square_size
from edge_pipeline.isp.settings import Settings
from edge_pipeline.raw.capture import Capture, libraw_exposure_ev
from edge_pipeline.raw.colour import camera_to_srgb_matrix
from edge_pipeline.raw.highlights import HighlightsName, headroom
from edge_pipeline.raw.signal import Light, Signal
from edge_pipeline.raw.tone import ToneCurve
from edge_pipeline.raw.white_balance import Balance, balance

__all__ = ["Rendering", "conversion_of", "picture_size", "prepared", "resampled_size"]


@dataclass(frozen=True)
class Rendering:
    """The conversion from a normalised capture to linear sRGB.

    Attributes:
        balance: White balance.
        matrix: [3, 3], from the network's colours to linear sRGB.
        base_ev: Stops that are added in any case, as LibRaw does.
        push_ev: Stops to add before the network.
        after_ev: Stops to add after the network.
        encoded: Whether the network outputs encoded sRGB.
        keeps_highlights: Whether light over white is kept, up to the white of the network.
    """

    balance: Balance
    matrix: NDArray[np.float64]
    base_ev: float
    push_ev: float
    after_ev: float
    encoded: bool
    keeps_highlights: bool = False

    @property
    def highlights(self) -> HighlightsName:
        """The treatment of saturated pixels."""
        return "reconstruct" if self.keeps_highlights else "clip"


def _rendering(capture: Capture, settings: Settings, *, output_space: str) -> Rendering:
    """Return how a capture is converted to linear sRGB.

    A positive exposure is added before a network with linear output; after the network, it would
    also multiply the network's errors.
    """
    asked = settings.exposure_ev
    chosen = balance(settings.white_balance, capture, settings.tint)
    if output_space == "srgb":
        return Rendering(chosen, np.eye(3), 0.0, 0.0, asked, encoded=True)
    matrix = camera_to_srgb_matrix(capture.xyz_to_camera)
    base = libraw_exposure_ev(capture)
    push = max(base + asked, 0.0)
    keeps = settings.highlights_used == "reconstruct"
    after = base + asked - push
    return Rendering(chosen, matrix, base, push, after, encoded=False, keeps_highlights=keeps)


def prepared(
    capture: Capture, settings: Settings, *, output_space: str, multiple: int
) -> tuple[Signal, Rendering]:
    """Return the signal that the network is given, at most 1, and the conversion of its output.

    If highlights are kept, the signal is darkened so that the light that becomes white is 1, and
    the conversion multiplies by this light after the network.

    Args:
        capture: Capture to develop.
        settings: Options of the user.
        output_space: Output space in the network's model card, `srgb` or `camera_linear`.
        multiple: Number that must divide the sizes of the signal.
    """
    rendering = _rendering(capture, settings, output_space=output_space)
    keeps = rendering.keeps_highlights
    light = Light.of(capture, rendering.balance.gains, keeps_highlights=keeps)
    if rendering.push_ev > 0:
        light = light.times(2.0**rendering.push_ev)
    if keeps:
        white = headroom(light.bands(), capture.mosaic.size, rendering.after_ev)
        light = light.times(1 / white)
        rendering = replace(rendering, after_ev=rendering.after_ev + float(np.log2(white)))
    return Signal(light, capture.pattern, multiple), rendering


def resampled_size(capture: Capture, signal: Signal, settings: Settings) -> tuple[int, int] | None:
    """Return the width and height to resample the upright picture to; None for its own."""
    height, width = picture_size(signal, settings)
    new_width, new_height = width, height
    if settings.square_pixels:
        new_width, new_height = square_size(width, height, capture.pixel_aspect)
    size, own = upright_size(new_width, new_height, capture.orientation), (width, height)
    if settings.resize is not None:
        size = settings.resize.size(*size)
    return None if size == upright_size(*own, capture.orientation) else size


def picture_size(signal: Signal, settings: Settings) -> tuple[int, int]:
    """Return the height and width of the picture in the sensor's orientation."""
    divisor = 1 if settings.size == "full" else 2
    return signal.height // divisor, signal.width // divisor


def conversion_of(settings: Settings, rendering: Rendering, *, bits: int) -> ColourConversion:
    """Return the conversion of the network's output, with `bits` per channel."""
    toned = settings.tone == "standard" and not rendering.encoded
    white = max(1.0, 2.0**rendering.after_ev)  # the brightest light of the network is 1
    return ColourConversion(
        rendering.matrix,
        rendering.after_ev,
        rendering.encoded,
        bits,
        tone=ToneCurve(white) if toned else None,
        keeps_hue=rendering.keeps_highlights,
        space=COLOUR_SPACES[settings.colour_space],
    )
