"""What a capture is once it has been read: the mosaic, its levels, its colours, its camera."""

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

__all__ = ["Capture", "CaptureExif", "check_file", "grey_world", "libraw_exposure_ev", "normalise"]

# LibRaw's `adjust_maximum_thr`: how near the brightest pixel must come to white to stand for it.
_LIBRAW_THRESHOLD = 0.75


@dataclass(frozen=True)
class CaptureExif:
    """What the camera noted about itself and the exposure; None where it is not known.

    Attributes:
        make: the camera's maker.
        model: the camera.
        lens: the lens.
        exposure_s: exposure time in seconds.
        f_number: aperture.
        focal_mm: focal length in millimetres.
        iso: sensitivity.
        time: when the exposure was made, by the camera's clock, without a zone.
    """

    make: str | None = None
    model: str | None = None
    lens: str | None = None
    exposure_s: float | None = None
    f_number: float | None = None
    focal_mm: float | None = None
    iso: int | None = None
    time: datetime | None = None


@dataclass(frozen=True, eq=False)
class Capture:
    """A Bayer capture: the active area as it left the sensor, and what is needed to develop it.

    Attributes:
        mosaic: [H, W], uint16 or float32, the active area alone, in the camera's own values.
        pattern: the Bayer order at the mosaic's top left corner, one of `cfa.PATTERNS`.
        black: black level for R, G on red rows, G on blue rows, B.
        white: the value of saturation.
        wb: as-shot white balance multipliers (r, g, b) with g = 1.
        daylight_wb: the camera's multipliers for daylight, g = 1.
        xyz_to_camera: [3, 3], CIE XYZ to camera RGB, rows at any scale; None where not known.
        orientation: EXIF orientation, 1 to 8, that the mosaic is to be seen in.
        exif: the camera and the exposure.
        source: the file.
        notes: what had to be assumed, a sentence each.

    Raises:
        CaptureError: the levels leave nothing between black and white.
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

    def __post_init__(self) -> None:
        if not max(self.black) < self.white:
            raise CaptureError(
                f"{self.source} has black level {max(self.black):g} and white level "
                f"{self.white:g}; white must be above black"
            )


def check_file(path: Path) -> None:
    """Raise CaptureError unless `path` is a file that can be read and is not empty."""
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise CaptureError(f"{path} is a folder; give a RAW file in it")
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


def normalise(capture: Capture, wb: RGBGains) -> NDArray[np.float32]:
    """Subtract black, scale by white, apply white balance.

    Values below black stay negative, so that noise about black keeps its mean; values above
    white are clipped after white balance, so that what is saturated is white in all channels.

    Args:
        capture: the capture.
        wb: multipliers (r, g, b), from `colour.wb_gains`; they are scaled so that the least is 1.

    Returns:
        float32 [H, W], in the order of `capture.pattern`, at most 1, white at 1.

    Raises:
        InputError: a multiplier is not a positive finite number.
    """
    red, green, blue = unit_gains(wb)
    first, second, third, fourth = capture.black
    scale = (
        red / (capture.white - first),
        green / (capture.white - second),
        green / (capture.white - third),
        blue / (capture.white - fourth),
    )
    height, width = capture.mosaic.shape
    shape = (height, width)
    signal = capture.mosaic.astype(np.float32)
    signal -= per_pixel(capture.black, capture.pattern, shape)
    signal *= per_pixel(scale, capture.pattern, shape)
    return np.minimum(signal, np.float32(1), out=signal)


def grey_world(
    mosaic: NDArray[Any], pattern: str, black: tuple[float, float, float, float], white: float
) -> RGBGains:
    """Multipliers that make the mean of the unsaturated picture grey.

    Args:
        mosaic: [H, W] in camera values.
        pattern: its Bayer order.
        black: black level for R, G on red rows, G on blue rows, B.
        white: the value of saturation; cells that reach it are left out.

    Returns:
        (r, 1, b); (1, 1, 1) where a channel has no light.
    """
    aligned = align(mosaic, pattern)
    # [H', W'] -> [4, h, w], a saturated pixel spoils its cell
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
    """The brightening that LibRaw applies unasked, in stops.

    Where the brightest pixel lies between three quarters of the range and its top, LibRaw takes
    it for white. Added to the exposure, this gives LibRaw's brightness.

    Returns:
        0 to 0.415 stops.

    Source: LibRaw, `adjust_maximum` with its default threshold of 0.75.
    """
    height, width = capture.mosaic.shape
    black = per_pixel(capture.black, capture.pattern, (height, width))
    brightest = float((capture.mosaic - black).max())
    span = capture.white - min(capture.black)
    if not _LIBRAW_THRESHOLD * span < brightest < span:
        return 0.0
    return float(np.log2(span / brightest))
