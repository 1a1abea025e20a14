"""The capture as data: its mosaic, levels, colours and camera, and its normalisation."""

from __future__ import annotations

import stat
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_pipeline.errors import CaptureError
from edge_pipeline.raw.cfa import align, pack, per_pixel
from edge_pipeline.raw.colour import RGBGains, unit_gains
from edge_pipeline.raw.exif_fields import ExifFields
from edge_pipeline.raw.stored import row_bands

__all__ = [
    "Capture",
    "CaptureExif",
    "check_file",
    "grey_world",
    "libraw_exposure_ev",
    "normalise",
    "scaled",
    "signal_scale",
]

# LibRaw's `adjust_maximum_thr`: the brightest pixel counts as white above this share of the range.
_LIBRAW_THRESHOLD = 0.75


@dataclass(frozen=True)
class CaptureExif:
    """The camera and the exposure as the capture's EXIF states them; None if a value is not known.

    Attributes:
        make: Manufacturer of the camera.
        model: Model of the camera.
        lens: Model of the lens.
        exposure_s: Exposure time in seconds.
        f_number: Aperture as an f-number.
        focal_mm: Focal length in millimetres.
        iso: ISO sensitivity.
        time: Time of the exposure by the camera's clock, without a time zone.
        fields: All EXIF fields of the file, as it stores them.
    """

    make: str | None = None
    model: str | None = None
    lens: str | None = None
    exposure_s: float | None = None
    f_number: float | None = None
    focal_mm: float | None = None
    iso: int | None = None
    time: datetime | None = None
    fields: ExifFields = field(default_factory=ExifFields)


@dataclass(frozen=True, eq=False)
class Capture:
    """A Bayer capture: the sensor's active area, and the data that developing it requires.

    Attributes:
        mosaic: [H, W], uint16 or float32, only the active area, in the camera's own values.
        pattern: Bayer order at the top left corner of the mosaic, one of `cfa.PATTERNS`.
        black: Black levels for R, G on red rows, G on blue rows, B.
        white: White level, the value at which the sensor saturates.
        wb: As-shot white balance multipliers (r, g, b) with g = 1.
        daylight_wb: Multipliers of the camera for daylight, g = 1; None if they are not known.
        xyz_to_camera: [3, 3], CIE XYZ to camera RGB, rows at any scale; None if it is not known.
        orientation: EXIF orientation in which the mosaic is to be displayed, 1 to 8.
        exif: The camera and the exposure.
        source: Path of the file.
        notes: Assumptions that were made about the capture, a sentence each.
        pixel_aspect: Width of a pixel divided by its height, in the sensor's orientation.
        d65_wb: Multipliers under CIE D65, g = 1, which give the scale of the matrix; None if they
            are not known.

    Raises:
        CaptureError: If the white level is not above every black level.
    """

    mosaic: NDArray[Any]
    pattern: str
    black: tuple[float, float, float, float]
    white: float
    wb: RGBGains
    daylight_wb: RGBGains | None
    xyz_to_camera: NDArray[np.float64] | None
    orientation: int
    exif: CaptureExif
    source: Path
    notes: tuple[str, ...] = field(default=())
    pixel_aspect: float = 1.0
    d65_wb: RGBGains | None = None

    def __post_init__(self) -> None:
        if not max(self.black) < self.white:
            raise CaptureError(
                f"{self.source} has black level {max(self.black):g} and white level "
                f"{self.white:g}; white must be above black"
            )


def check_file(path: Path) -> None:
    """Raise CaptureError unless `path` is a readable file that is not empty."""
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise CaptureError(f"{path} is a folder; give the path of a RAW file in it")
        if not stat.S_ISREG(mode):
            raise CaptureError(f"{path} is not a regular file; give a RAW file")
        with path.open("rb") as handle:
            first = handle.read(1)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise CaptureError(f"{path} does not exist; give the path of a RAW file") from error
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        remedy = "check its permissions" if isinstance(error, PermissionError) else "check its name"
        raise CaptureError(f"{path} cannot be read: {reason}; {remedy}") from error
    if not first:
        raise CaptureError(f"{path} is empty; copy the capture from the camera again")


def normalise(capture: Capture, wb: RGBGains, *, clip: bool = True) -> NDArray[np.float32]:
    """Subtract the black level, scale the white level to 1, and apply white balance.

    Values below the black level stay negative, so that noise about black keeps its mean. Values
    above 1 are clipped after white balance, so that a saturated pixel is white in all channels.

    Args:
        capture: Capture to normalise.
        wb: Multipliers (r, g, b) with which to balance; scaled here so that the smallest is 1.
        clip: Whether values above 1 are clipped.

    Returns:
        Float32 [H, W], in the order of `capture.pattern`; at most 1 if `clip`, otherwise a
        saturated pixel is the scaled multiplier of its channel.

    Raises:
        InputError: If a multiplier is not a positive finite number.
    """
    black, scale = signal_scale(capture, wb)
    return scaled(capture.mosaic, black, scale, clip=clip)


def signal_scale(capture: Capture, wb: RGBGains) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the black levels and the factors of `normalise` for the first cell, each [2, 2]."""
    red, green, blue = unit_gains(wb)
    first, second, third, fourth = capture.black
    scale = (
        red / (capture.white - first),
        green / (capture.white - second),
        green / (capture.white - third),
        blue / (capture.white - fourth),
    )
    black, factor = (per_pixel(v, capture.pattern, (2, 2)) for v in (capture.black, scale))
    return black, factor


def scaled(
    values: NDArray[Any],
    black: NDArray[np.float32],
    scale: NDArray[np.float32],
    *,
    clip: bool,
) -> NDArray[np.float32]:
    """Convert the camera's values to signals.

    Args:
        values: [H, W], part of a mosaic that begins on an even row and column.
        black: [2, 2], black levels.
        scale: [2, 2], factors.
        clip: Whether values above 1 are clipped.

    Returns:
        Float32 [H, W].
    """
    signal = values.astype(np.float32)
    width = signal.shape[1]
    for row in (0, 1):  # whole rows, since every second column alone takes three times as long
        level, factor = (np.tile(part[row], -(-width // 2))[:width] for part in (black, scale))
        lines = signal[row::2]
        lines -= level
        lines *= factor
    return np.minimum(signal, np.float32(1), out=signal) if clip else signal


def grey_world(
    mosaic: NDArray[Any], pattern: str, black: tuple[float, float, float, float], white: float
) -> RGBGains:
    """Return the multipliers that make the mean of the unsaturated picture grey.

    Args:
        mosaic: [H, W] in camera values.
        pattern: Bayer order of the mosaic.
        black: Black levels for R, G on red rows, G on blue rows, B.
        white: White level; cells with a pixel that reaches it are ignored.

    Returns:
        (r, 1, b); (1, 1, 1) if a channel has no light or every cell is ignored.
    """
    aligned = align(mosaic, pattern)
    # [H', W'] -> [4, h, w]; a cell with a saturated pixel is ignored
    cells = pack(aligned.mosaic).astype(np.float32)
    usable = (cells < white).all(axis=0)
    if not usable.any():
        return 1.0, 1.0, 1.0
    means = cells[:, usable].mean(axis=1, dtype=np.float64) - np.array(black)
    if (means <= 0).any():
        return 1.0, 1.0, 1.0
    green = (means[1] + means[2]) / 2
    return float(green / means[0]), 1.0, float(green / means[3])


def libraw_exposure_ev(capture: Capture) -> float:
    """Return the exposure correction that LibRaw applies by default, in stops.

    If the brightest pixel lies between three quarters of the range and its top, LibRaw uses it as
    the white level. Adding these stops to the exposure makes a picture as bright as LibRaw's.

    Returns:
        0 to 0.415 stops.

    Source: LibRaw, `adjust_maximum` with its default threshold of 0.75.
    """
    # [2, 2]: the black levels of the first cell, each for the pixels of its phase
    black = per_pixel(capture.black, capture.pattern, (2, 2))
    phases = [(row, column) for row in (0, 1) for column in (0, 1)]
    brightest = max(
        float(capture.mosaic[rows][r::2, c::2].max(initial=0)) - float(black[r, c])
        for rows in row_bands(capture.mosaic)
        for r, c in phases
    )
    span = capture.white - min(capture.black)
    if not _LIBRAW_THRESHOLD * span < brightest < span:
        return 0.0
    return float(np.log2(span / brightest))
