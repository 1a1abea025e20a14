"""Develop a capture into a picture: normalise it, run the network, apply colour, orient it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter_ns
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge_pipeline.artifact.store import Artifact
from edge_pipeline.closing import Closing
from edge_pipeline.errors import CaptureError, InputError, JobError
from edge_pipeline.files import packaged, sha256_of
from edge_pipeline.isp.canvas import Canvas, ColourConversion, FullCanvas, HalfCanvas
from edge_pipeline.isp.colour_spaces import COLOUR_SPACES
from edge_pipeline.isp.network import IspSession
from edge_pipeline.isp.settings import Settings
from edge_pipeline.isp.share import usable_cores
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
from edge_pipeline.raw.colour import RGBGains, camera_to_srgb_matrix
from edge_pipeline.raw.highlights import headroom, reconstruct_highlights
from edge_pipeline.raw.limits import PixelLimits
from edge_pipeline.raw.tone import ToneCurve
from edge_pipeline.raw.white_balance import balance

__all__ = ["DEFAULT_MODEL", "Developer", "Picture", "develop"]

DEFAULT_MODEL = "pretrained/isp_default/artifact"

_LONGEST_TIMEOUT_S = 86400.0

Progress = Callable[[int, int], None]


class Picture(NamedTuple):
    """A developed capture.

    Attributes:
        rgb: Uint8 or uint16 [H, W, 3], encoded in the colour space of the settings, upright.
        exif: EXIF data of the capture.
        info: Contents of the sidecar, as JSON values.
    """

    rgb: NDArray[np.unsignedinteger[Any]]
    exif: CaptureExif
    info: dict[str, Any]


@dataclass
class _Clock:
    """Measures phases and stores their milliseconds by name."""

    timings_ms: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        begun = perf_counter_ns()
        yield
        self.timings_ms[name] = round((perf_counter_ns() - begun) / 1e6, 3)


class _Colour(NamedTuple):
    """The conversion from a normalised capture to linear sRGB.

    Attributes:
        matrix: [3, 3], from the network's colours to linear sRGB.
        base_ev: Stops that are added in any case, as LibRaw does.
        push_ev: Stops to add before the network.
        after_ev: Stops to add after the network.
        encoded: Whether the network outputs encoded sRGB.
        keeps_highlights: Whether light over white is kept up to `white`.
        white: Light that becomes white, 1 or more.
    """

    matrix: NDArray[np.float64]
    base_ev: float
    push_ev: float
    after_ev: float
    encoded: bool
    keeps_highlights: bool = False
    white: float = 1.0


class Developer(Closing):
    """Develops captures with one artifact, which is opened once; a context manager.

    Args:
        model: Folder of the artifact; None for the shipped one.
        threads: Number of threads that compute; None for all cores that this process may use.
        timeout_s: Time limit for reading one capture, in seconds.
        limits, stop: See `raw.capture.read_capture`.

    Raises:
        ArtifactError: If the folder is not an artifact, or the artifact is damaged.
        InputError: If threads or timeout are not positive or too large.
        RuntimeFailure: If the runtime cannot load the network.
    """

    def __init__(
        self,
        model: Path | str | None = None,
        *,
        threads: int | None = None,
        timeout_s: float = 60,
        limits: PixelLimits | None = None,
        stop: threading.Event | None = None,
    ) -> None:
        if not 0 < timeout_s <= _LONGEST_TIMEOUT_S:
            raise InputError(f"the timeout is {timeout_s:g} s; give more than 0 and at most 86400")
        self.threads = usable_cores() if threads is None else threads
        self.timeout_s = timeout_s
        self.limits = limits or PixelLimits()
        self.stop = stop
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
            source: Path of the capture's file.
            settings: Options of the user.
            on_tile: Function called after each tile with the numbers of finished and of all tiles.

        Raises:
            CaptureError: If the capture cannot be read.
            InputError: If the settings do not fit the capture, or it does not fit the artifact.
            JobError: If the runtime fails, or memory is exhausted.
        """
        source = Path(source)
        settings.check_bits()
        try:
            return self._develop(source, settings, on_tile)
        except MemoryError as error:
            raise JobError(
                f"not enough memory to develop {source}; close other programs and try again"
            ) from error

    def _develop(self, source: Path, settings: Settings, on_tile: Progress | None) -> Picture:
        clock = _Clock()
        with clock.phase("read"):
            capture = self._read(source, settings)
            digest = _hash(source)
        with clock.phase("normalise"):
            chosen = balance(settings.white_balance, capture, settings.tint)
            colour = self._colour(capture, settings)
            mosaic, colour = _exposed(capture, chosen.gains, colour)
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
            balance=chosen,
            matrix=colour.matrix,
            base_exposure_ev=colour.base_ev,
            highlights=_highlights(colour),
            choices={**settings.choices(), "threads": self.threads},
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
        keeps = settings.highlights_used == "reconstruct"
        after = base + asked - push
        return _Colour(matrix, base, push, after, encoded=False, keeps_highlights=keeps)

    def _read(self, source: Path, settings: Settings) -> Capture:
        profile = settings.profile
        if profile is not None:
            self.limits.check(source, profile.width, profile.height)
            return read_headerless(source, profile)
        return read_capture(
            source,
            timeout_s=self.timeout_s,
            limits=self.limits,
            stop=self.stop,
            levels=settings.levels,
        )


def _exposed(
    capture: Capture, gains: RGBGains, colour: _Colour
) -> tuple[NDArray[np.float32], _Colour]:
    """Return the mosaic that the network is given, at most 1, and the conversion of its output.

    If highlights are kept, the mosaic is darkened so that the light that becomes white is 1, and
    the conversion multiplies by this light after the network.
    """
    mosaic = normalise(capture, gains, clip=not colour.keeps_highlights)
    if colour.keeps_highlights:
        reconstruct_highlights(mosaic, capture.pattern, gains)
    if colour.push_ev > 0:
        mosaic *= np.float32(2.0**colour.push_ev)
    if colour.keeps_highlights:
        white = headroom(mosaic, colour.after_ev)
        mosaic *= np.float32(1 / white)
        colour = colour._replace(after_ev=colour.after_ev + float(np.log2(white)), white=white)
    return np.minimum(mosaic, 1, out=mosaic), colour


def _highlights(colour: _Colour) -> str:
    return "reconstruct" if colour.keeps_highlights else "clip"


def _canvas(capture: Capture, aligned: Aligned, settings: Settings, colour: _Colour) -> Canvas:
    kind = FullCanvas if settings.size == "full" else HalfCanvas
    toned = settings.tone == "standard" and not colour.encoded
    white = max(1.0, 2.0**colour.after_ev)  # the brightest light of the network is 1
    conversion = ColourConversion(
        colour.matrix,
        colour.after_ev,
        colour.encoded,
        settings.bits,
        tone=ToneCurve(white) if toned else None,
        keeps_hue=colour.keeps_highlights,
        space=COLOUR_SPACES[settings.colour_space],
    )
    return kind((aligned.height, aligned.width), conversion, capture.orientation)


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
        capture_path: Path of a RAW file, or of a headerless one if `settings` has a profile.
        model: Folder of an artifact; None for the shipped one.
        settings: Options of the user; None for the defaults of `Settings`.
        threads: Number of threads that compute; None for all cores that this process may use.
        timeout_s: Time limit for reading the capture, in seconds.

    Raises:
        EdgePipelineError: As for `Developer` and `Developer.develop`.
    """
    with Developer(model, threads=threads, timeout_s=timeout_s) as developer:
        return developer.develop(capture_path, settings or Settings())
