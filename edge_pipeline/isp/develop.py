"""Develop a capture into a picture: normalise it, run the network, apply colour, orient it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge_pipeline.artifact.store import Artifact
from edge_pipeline.closing import Closing
from edge_pipeline.cores import usable_cores
from edge_pipeline.errors import CaptureError, InputError, JobError
from edge_pipeline.files import packaged, sha256_of
from edge_pipeline.isp.bands import Bands
from edge_pipeline.isp.clock import Clock
from edge_pipeline.isp.colour_spaces import colour_space
from edge_pipeline.isp.corrections import corrected
from edge_pipeline.isp.memory import MemoryLimit
from edge_pipeline.isp.network import IspSession
from edge_pipeline.isp.painting import Progress, Work, painted
from edge_pipeline.isp.rendering import Rendering, prepared, resampled_size
from edge_pipeline.isp.resize import resampled
from edge_pipeline.isp.settings import Settings
from edge_pipeline.isp.sidecar import describe
from edge_pipeline.raw.capture import Capture, CaptureExif, read_capture, read_headerless
from edge_pipeline.raw.limits import PixelLimits
from edge_pipeline.raw.signal import Signal

__all__ = ["DEFAULT_MODEL", "Developer", "Development", "Picture", "develop"]

DEFAULT_MODEL = "pretrained/isp_default/artifact"

_LONGEST_TIMEOUT_S = 86400.0

Arrays = dict[str, NDArray[np.float32]]


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


class Development(NamedTuple):
    """A capture that is developed while the bands of its picture are read.

    Attributes:
        bands: The picture, encoded in the colour space of the settings, upright.
        exif: EXIF data of the capture.
        notes: Assumptions that were made about the capture, a sentence each.
        info: Function that returns the contents of the sidecar, when all bands were read.
    """

    bands: Bands
    exif: CaptureExif
    notes: tuple[str, ...]
    info: Callable[[], dict[str, Any]]


class Developer(Closing):
    """Develops captures with one artifact, which is opened once; a context manager.

    Args:
        model: Folder of the artifact; None for the shipped one.
        threads: Number of threads that compute; None for all cores that this process may use.
        timeout_s: Time limit for reading one capture, in seconds.
        limits, stop: See `raw.capture.read_capture`.
        memory: Limit on the memory of developing; None for the default.

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
        memory: MemoryLimit | None = None,
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
        self.memory = memory or MemoryLimit()
        at_once = self.memory.at_once(self.threads)
        self._network = IspSession(self.artifact, threads=self.threads, at_once=at_once)
        self._borrowed: tuple[tuple[Path, Settings], Arrays] | None = None

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
        development = self.begin(source, settings, on_tile=on_tile)
        with _enough_memory(source):
            rgb = development.bands.whole()
        return Picture(rgb, development.exif, development.info())

    def begin(
        self, source: Path | str, settings: Settings, *, on_tile: Progress | None = None
    ) -> Development:
        """Begin to develop one capture; its picture is computed while its bands are read.

        The arguments and errors are those of `develop`; reading the bands can also raise them. No
        other capture may be begun before the bands were read.
        """
        source = Path(source)
        settings.check_bits()
        with _enough_memory(source):
            return self._begin(source, settings, on_tile)

    def _begin(self, source: Path, settings: Settings, on_tile: Progress | None) -> Development:
        clock = Clock()
        with clock.phase("read"):
            capture = self._read(source, settings)
            digest = _hash(source)
        with clock.phase("correct"):
            capture, corrections = corrected(capture, settings)
        with clock.phase("normalise"):
            signal, rendering = self._prepared(capture, settings)
        with clock.phase("filters"):
            filters = self._filters(signal, settings)
        size = resampled_size(capture, signal, settings)
        work = Work(capture, signal, filters, rendering, settings, clock, on_tile)
        bands = painted(self._network, self.memory, work, resamples=size is not None)
        if size is not None:
            space = colour_space(settings.colour_space)
            bands = resampled(bands, size, settings.bits, decode=space.decode, encode=space.encode)
        bands = replace(bands, parts=_guarded(source, clock.each("finish", bands.parts)))

        def info() -> dict[str, Any]:
            times = clock.timings_ms
            finish = times["finish"] - times["network"]
            return describe(
                capture,
                artifact=self.artifact,
                sha256=digest,
                balance=rendering.balance,
                matrix=rendering.matrix,
                base_exposure_ev=rendering.base_ev,
                highlights=rendering.highlights,
                corrections=corrections,
                choices={**settings.choices(), "threads": self.threads},
                picture_size=(bands.width, bands.height),
                timings_ms={**times, "finish": round(finish, 3)},
            )

        notes = (*capture.notes, *rendering.balance.notes)
        return Development(bands, capture.exif, notes, info)

    def _prepared(self, capture: Capture, settings: Settings) -> tuple[Signal, Rendering]:
        output_space = self.artifact.manifest.card.output_space
        multiple = self._network.multiple
        return prepared(capture, settings, output_space=output_space, multiple=multiple)

    def _filters(self, own: Signal, settings: Settings) -> Arrays:
        """Return the filters of a mosaic, or those of the capture to take them from."""
        exact = settings.filters == "exact"
        other = settings.filters_from
        if other is None:
            return self._network.filters(own, exact=exact)
        if self._borrowed is None or self._borrowed[0] != (other, settings):
            capture, _ = corrected(self._read(other, settings), settings)
            signal, _ = self._prepared(capture, settings)
            filters = self._network.filters(signal, exact=exact)
            self._borrowed = ((other, settings), filters)
        return self._borrowed[1]

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


@contextmanager
def _enough_memory(source: Path | str) -> Iterator[None]:
    try:
        yield
    except MemoryError as error:
        raise JobError(
            f"not enough memory to develop {source}; close other programs and try again"
        ) from error


def _guarded(
    source: Path, parts: Iterable[NDArray[np.unsignedinteger[Any]]]
) -> Iterator[NDArray[np.unsignedinteger[Any]]]:
    """Yield parts; exhausted memory is a JobError."""
    iterator = iter(parts)
    while True:
        with _enough_memory(source):
            part = next(iterator, None)
        if part is None:
            return
        yield part


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
