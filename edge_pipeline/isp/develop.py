"""Develop a capture into a picture: normalise it, run the network, apply colour, orient it."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge_pipeline.artifact.store import Artifact
from edge_pipeline.closing import Closing
from edge_pipeline.errors import CaptureError, InputError, JobError
from edge_pipeline.files import packaged, sha256_of
from edge_pipeline.isp.canvas import Canvas, FullCanvas, HalfCanvas, Ink
from edge_pipeline.isp.clock import Clock
from edge_pipeline.isp.corrections import corrected
from edge_pipeline.isp.grain import DEFAULT_GRAIN
from edge_pipeline.isp.network import IspSession
from edge_pipeline.isp.sidecar import describe
from edge_pipeline.raw.capture import (
    Capture,
    CaptureExif,
    libraw_exposure_ev,
    normalise,
    read_capture,
    read_headerless,
)
from edge_pipeline.raw.cfa import Aligned, align
from edge_pipeline.raw.colour import camera_to_srgb_matrix, wb_gains
from edge_pipeline.raw.profile import CameraProfile

__all__ = ["DEFAULT_MODEL", "Developer", "Picture", "Settings", "develop"]

DEFAULT_MODEL = "pretrained/isp_default/artifact"

_LARGEST_EXPOSURE_EV = 16.0
_LONGEST_TIMEOUT_S = 86400.0

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Settings:
    """Options of the user for developing a capture.

    Attributes:
        exposure_ev: stops of light to add, -16..16, relative to LibRaw's brightness: if the
            brightest pixel is in the top quarter of the sensor's range, LibRaw makes it white.
        white_balance: `as-shot`, `daylight` or multipliers `R,G,B`.
        grain: share of the sensor's noise that is kept, 0..1; without effect on a network that
            outputs final sRGB.
        size: `full`, or `half` for the mean of each 2 x 2 pixels in linear light.
        profile: profile of a headerless capture; None for files that LibRaw opens.
        bits: bits per channel of the picture, 8 or 16.
        hot_pixels: whether hot and dead pixels are repaired.
        fringes: `auto` to correct lateral colour fringes that are measured with certainty, or
            `off`.
    """

    exposure_ev: float = 0.0
    white_balance: str = "as-shot"
    grain: float = DEFAULT_GRAIN
    size: Literal["full", "half"] = "full"
    profile: CameraProfile | None = None
    bits: Literal[8, 16] = 8
    hot_pixels: bool = True
    fringes: Literal["auto", "off"] = "auto"

    def __post_init__(self) -> None:
        ev = self.exposure_ev
        if not math.isfinite(ev) or abs(ev) > _LARGEST_EXPOSURE_EV:
            raise InputError(f"the exposure is {ev} EV; give -16 to 16")
        if not 0 <= self.grain <= 1:
            raise InputError(f"the grain is {self.grain}; give 0, for none, to 1, for all of it")
        if self.size not in ("full", "half"):
            raise InputError(f"the size is {self.size!r}; give full or half")
        if self.fringes not in ("auto", "off"):
            raise InputError(f"fringes is {self.fringes!r}; give auto or off")
        if self.bits not in (8, 16):
            raise InputError(f"the picture has {self.bits} bits a channel; give 8 or 16")


class Picture(NamedTuple):
    """A developed capture.

    Attributes:
        rgb: uint8 or uint16 [H, W, 3], encoded sRGB, upright.
        exif: EXIF data of the capture.
        info: contents of the sidecar, as JSON values.
    """

    rgb: NDArray[np.unsignedinteger[Any]]
    exif: CaptureExif
    info: dict[str, Any]


class _Colour(NamedTuple):
    """The conversion from a normalised capture to linear sRGB.

    Attributes:
        matrix: [3, 3], from the network's colours to linear sRGB.
        base_ev: stops that are added in any case, as LibRaw does.
        push_ev: stops to add before the network.
        after_ev: stops to add after the network.
        encoded: whether the network outputs encoded sRGB.
    """

    matrix: NDArray[np.float64]
    base_ev: float
    push_ev: float
    after_ev: float
    encoded: bool


class Developer(Closing):
    """Develops captures with one artifact, which is opened once; a context manager.

    Args:
        model: folder of the artifact; None for the shipped one.
        threads: number of threads that compute; None for all cores that this process may use.
        timeout_s: time limit for reading one capture, in seconds.

    Raises:
        ArtifactError: if the folder is not an artifact, or the artifact is damaged.
        InputError: if threads or timeout are not positive or too large.
        RuntimeFailure: if the runtime cannot load the network.
    """

    def __init__(
        self, model: Path | str | None = None, *, threads: int | None = None, timeout_s: float = 60
    ) -> None:
        if not 0 < timeout_s <= _LONGEST_TIMEOUT_S:
            raise InputError(f"the timeout is {timeout_s:g} s; give more than 0 and at most 86400")
        self.threads = _usable_cores() if threads is None else threads
        self.timeout_s = timeout_s
        folder = packaged("calibration") / DEFAULT_MODEL if model is None else Path(model)
        self.artifact = Artifact.open(folder)
        self._network = IspSession(self.artifact, threads=self.threads)

    def close(self) -> None:
        """Close the artifact's programs."""
        self._network.close()

    def develop(
        self, source: Path | str, settings: Settings, *, on_tile: Progress | None = None
    ) -> Picture:
        """Develop one capture.

        Args:
            source: path of the capture's file.
            settings: options of the user.
            on_tile: function called after each tile with the numbers of finished and of all tiles.

        Raises:
            CaptureError: if the capture cannot be read.
            InputError: if the settings do not fit the capture, or it does not fit the artifact.
            JobError: if the runtime fails, or memory is exhausted.
        """
        source = Path(source)
        try:
            return self._develop(source, settings, on_tile)
        except MemoryError as error:
            raise JobError(
                f"not enough memory to develop {source}; close other programs and try again"
            ) from error

    def _develop(self, source: Path, settings: Settings, on_tile: Progress | None) -> Picture:
        clock = Clock()
        with clock.phase("read"):
            capture = self._read(source, settings.profile)
            digest = _hash(source)
        with clock.phase("correct"):
            capture, corrections = corrected(
                capture, hot_pixels=settings.hot_pixels, fringes=settings.fringes == "auto"
            )
        with clock.phase("normalise"):
            gains = wb_gains(settings.white_balance, capture.wb, capture.daylight_wb)
            mosaic = normalise(capture, gains)
            colour = self._colour(capture, settings)
            _push(mosaic, colour.push_ev)
            aligned = align(mosaic, capture.pattern, self._network.multiple)
            del mosaic  # frees a quarter of the memory for a large capture
        with clock.phase("filters"):
            filters = self._network.filters(aligned.mosaic)
        canvas = _canvas(capture, aligned, settings, colour)
        with clock.phase("network"):
            grain = 0.0 if colour.encoded else settings.grain
            for core in self._network.cores(aligned.mosaic, filters, grain=grain):
                canvas.put(core.top - aligned.top, core.left - aligned.left, core.rgb)
                if on_tile is not None:
                    on_tile(core.done, core.total)
        with clock.phase("finish"):
            rgb = canvas.finish()
        info = describe(
            capture,
            artifact=self.artifact,
            sha256=digest,
            gains=gains,
            matrix=colour.matrix,
            base_exposure_ev=colour.base_ev,
            corrections=corrections,
            choices={**_choices(settings), "threads": self.threads},
            picture_size=(rgb.shape[1], rgb.shape[0]),
            timings_ms=clock.timings_ms,
        )
        return Picture(rgb, capture.exif, info)

    def _colour(self, capture: Capture, settings: Settings) -> _Colour:
        """Return the capture's conversion to linear sRGB.

        A positive exposure is added before a network with linear output; after the network, it
        would also multiply the network's errors.
        """
        asked = settings.exposure_ev
        if self.artifact.manifest.card.output_space == "srgb":
            return _Colour(np.eye(3), 0.0, 0.0, asked, encoded=True)
        matrix = camera_to_srgb_matrix(capture.xyz_to_camera)
        base = libraw_exposure_ev(capture)
        push = max(base + asked, 0.0)
        return _Colour(matrix, base, push, base + asked - push, encoded=False)

    def _read(self, source: Path, profile: CameraProfile | None) -> Capture:
        if profile is not None:
            return read_headerless(source, profile)
        return read_capture(source, timeout_s=self.timeout_s)


def _push(mosaic: NDArray[np.float32], ev: float) -> None:
    """Add stops of light to a normalised mosaic in place; values above white are clipped."""
    if ev > 0:
        mosaic *= np.float32(2.0**ev)
        np.minimum(mosaic, 1, out=mosaic)


def _canvas(capture: Capture, aligned: Aligned, settings: Settings, colour: _Colour) -> Canvas:
    kind = FullCanvas if settings.size == "full" else HalfCanvas
    ink = Ink(colour.matrix, colour.after_ev, colour.encoded, settings.bits)
    return kind((aligned.height, aligned.width), ink, capture.orientation)


def _choices(settings: Settings) -> dict[str, Any]:
    """Return the settings as the sidecar contains them."""
    return {
        "white_balance": settings.white_balance,
        "exposure_ev": settings.exposure_ev,
        "grain": settings.grain,
        "size": settings.size,
        "bits": settings.bits,
        "hot_pixels": "on" if settings.hot_pixels else "off",
        "fringes": settings.fringes,
        "profile": None if settings.profile is None else settings.profile.name,
    }


def _usable_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _hash(source: Path) -> str:
    try:
        return sha256_of(source)
    except OSError as error:
        raise CaptureError(f"cannot read {source}: {error.strerror or error}") from error


def develop(
    capture_path: Path | str,
    *,
    model: Path | str | None = None,
    settings: Settings | None = None,
    threads: int | None = None,
    timeout_s: float = 60,
) -> Picture:
    """Develop one capture in this process.

    Args:
        capture_path: path of a RAW file, or of a headerless one if `settings` has a profile.
        model: folder of an artifact; None for the shipped one.
        settings: options of the user; None for the defaults of `Settings`.
        threads: number of threads that compute; None for all cores that this process may use.
        timeout_s: time limit for reading the capture, in seconds.

    Raises:
        EdgePipelineError: as for `Developer` and `Developer.develop`.
    """
    with Developer(model, threads=threads, timeout_s=timeout_s) as developer:
        return developer.develop(capture_path, settings or Settings())
