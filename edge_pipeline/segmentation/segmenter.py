"""Segment pictures of any size with one artifact: whole, tile by tile, or scaled to its input."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge_pipeline.closing import Closing
from edge_pipeline.cores import usable_cores
from edge_pipeline.errors import InputError, RuntimeFailure
from edge_pipeline.runtime.base import check_threads
from edge_pipeline.segmentation.names import LabelNames
from edge_pipeline.segmentation.opening import opened, ports, session_at
from edge_pipeline.segmentation.pictures import Picture, picture_of_array
from edge_pipeline.segmentation.reading import read_picture
from edge_pipeline.segmentation.scaling import enlarged, shrunk
from edge_pipeline.segmentation.tiles import Span, reflected, spans, tiles

__all__ = ["Segmentation", "Segmenter", "Tiling", "segment"]

# Share of a tile's side that is not kept at each inner edge, if the network has no finite halo.
_MARGIN_SHARE = 8
# Side of a tile if the program accepts any size.
_FREE_SIDE = 1024

OnTile = Callable[[int, int], None]


class Segmentation(NamedTuple):
    """The labels of a picture.

    Attributes:
        labels: Label of each pixel, uint8 [H, W].
        names: Names and kinds of the labels.
        notes: Statements about how the labels were computed, a sentence each.
    """

    labels: NDArray[np.uint8]
    names: LabelNames
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Tiling:
    """How a picture is brought to the size of the program's input.

    Attributes:
        overlap: Pixels that are not kept at each edge of a tile inside the picture; None for the
            network's halo, or an eighth of the tile if the halo is not finite.
        resize: Whether the picture is scaled instead.

    Raises:
        InputError: If the overlap is negative, or given together with `resize`.
    """

    overlap: int | None = None
    resize: bool = False

    def __post_init__(self) -> None:
        if self.overlap is not None and self.overlap < 0:
            raise InputError(f"the overlap is {self.overlap} pixels; give 0 or more")
        if self.resize and self.overlap is not None:
            raise InputError("--resize replaces tiles, so there is no overlap; give one of the two")


class Segmenter(Closing):
    """An artifact opened for segmenting pictures; a context manager.

    Args:
        model: Folder of the artifact; None for the shipped one.
        phi: Rescaling factor; None for that of the artifact.
        threads: Number of threads that compute; None for all cores that this process may use.
        tiling: How large pictures are handled.

    Attributes:
        names: Names of the labels.

    Raises:
        ArtifactError: If the folder is no artifact of a segmenter, or is damaged.
        InputError: If an argument is outside its range.
        RuntimeFailure: If the runtime cannot load the program.
    """

    def __init__(
        self,
        model: Path | str | None = None,
        *,
        phi: float | None = None,
        threads: int | None = None,
        tiling: Tiling | None = None,
    ) -> None:
        self.threads = usable_cores() if threads is None else threads
        check_threads(self.threads)
        self.artifact = opened(model)
        self._tiling = tiling or Tiling()
        self._picture, self._logits = ports(self.artifact)
        classes = int(self._logits.shape[1])
        self.names = LabelNames.of(self.artifact, max(2, classes))
        self._check_overlap()
        self._session = session_at(self.artifact, phi, self.threads)

    def close(self) -> None:
        """Close the program."""
        self._session.close()

    def segment(self, picture: Picture, *, on_tile: OnTile | None = None) -> Segmentation:
        """Segment a picture.

        Args:
            picture: The picture, of any size.
            on_tile: Function called after each tile with the numbers of finished and of all tiles.

        Raises:
            RuntimeFailure: If the runtime fails, or returns values that are not finite.
        """
        height, width = picture.size
        window = self._window(picture.size)
        labels = np.empty((height, width), np.uint8)
        if self._tiling.resize and window != picture.size:
            small = self._run(shrunk(picture, window, self._channels))
            enlarged(small, labels)
            note = f"it was scaled to {window[1]} x {window[0]} pixels (--resize)"
            return Segmentation(labels, self.names, (note,))
        rows, columns = (self._spans(*axis) for axis in zip(picture.size, window, strict=True))
        total = len(rows) * len(columns)
        for done, tile in enumerate(tiles(rows, columns), 1):
            found = self._run(self._cut(picture, *tile))
            (top, bottom), (left, right) = (axis[2:] for axis in tile)
            above, before = (axis.start for axis in tile)
            labels[top:bottom, left:right] = found[
                top - above : bottom - above, left - before : right - before
            ]
            if on_tile is not None:
                on_tile(done, total)
        return Segmentation(labels, self.names, self._notes(window) if total > 1 else ())

    @property
    def _channels(self) -> int:
        return int(self._picture.shape[1])

    @property
    def _halo(self) -> int | None:
        return self.artifact.manifest.tile.halo

    def _window(self, size: tuple[int, int]) -> tuple[int, int]:
        """Return the height and width of the program's input for a picture."""
        stride, minimum = self.artifact.manifest.tile.stride, self.artifact.manifest.tile.minimum
        chosen = []
        for side, fixed in zip(size, self._picture.shape[2:], strict=True):
            if isinstance(fixed, int):
                chosen.append(fixed)
            else:
                wished = max(minimum, min(side, max(_FREE_SIDE, 8 * (self._halo or 0))))
                chosen.append(-(-wished // stride) * stride)
        return chosen[0], chosen[1]

    def _margin(self, window: int) -> int:
        """Return the pixels of a tile that are not kept at an inner edge."""
        if self._tiling.overlap is not None:
            return self._tiling.overlap
        if self._halo is not None and self._fits(self._halo, window):
            return self._halo
        return window // _MARGIN_SHARE

    def _fits(self, margin: int, window: int) -> bool:
        return window - 2 * margin >= self.artifact.manifest.tile.stride

    def _check_overlap(self) -> None:
        """Raise an error for an overlap that leaves no room in the tiles of a fixed size."""
        for side in self._picture.shape[2:]:
            if isinstance(side, int) and self._tiling.overlap is not None:
                self._spans(side + 1, side)

    def _spans(self, size: int, window: int) -> list[Span]:
        stride = self.artifact.manifest.tile.stride
        return spans(size, window, margin=self._margin(window), stride=stride)

    def _notes(self, window: tuple[int, int]) -> tuple[str, ...]:
        """Return a note if the labels of tiles can differ from those of the whole picture."""
        margin = min(map(self._margin, window))
        if self._halo is not None and margin >= self._halo:
            return ()
        return (
            f"larger pictures are cut into tiles of {window[1]} x {window[0]} pixels with an "
            f"overlap of {margin}; labels near their edges can differ from those of the whole "
            "picture",
        )

    def _cut(self, picture: Picture, rows: Span, columns: Span) -> NDArray[np.float32]:
        """Return the window of a tile, extended by reflection: [C, h, w]."""
        places = [
            reflected(axis.start, axis.stop, side)
            for axis, side in zip((rows, columns), picture.size, strict=True)
        ]
        (top, bottom), (left, right) = ((int(p.min()), int(p.max()) + 1) for p in places)
        part = picture.window((top, bottom), (left, right), self._channels)
        return part[:, (places[0] - top)[:, None], places[1] - left]

    def _run(self, window: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Return the most probable label of each pixel of a window [C, h, w]."""
        values = self._session.run({self._picture.name: window[None]})
        scores = values[self._logits.name][0]
        if not np.isfinite(scores).all():
            raise RuntimeFailure(
                f"{self.artifact.folder} returned values that are not finite; verify the artifact"
            )
        labels: NDArray[np.uint8] = (
            scores[0] > 0 if len(scores) == 1 else scores.argmax(0)
        ).astype(np.uint8)
        return labels


def segment(
    picture: Path | str | NDArray[np.generic],
    model: Path | str | None = None,
    *,
    phi: float | None = None,
    overlap: int | None = None,
    resize: bool = False,
    threads: int | None = None,
) -> Segmentation:
    """Segment one picture in this process.

    Args:
        picture: Path of a file, or an array: grey [H, W] or colour [H, W, 3], uint8, uint16, or
            floating point from 0 to 1.
        model: Folder of an artifact; None for the shipped one.
        phi: Rescaling factor; None for that of the artifact.
        overlap: Pixels that are not kept at each edge of a tile inside the picture; see `Tiling`.
        resize: Whether the picture is scaled to the size of the program instead of cut into tiles.
        threads: Number of threads that compute; None for all cores that this process may use.

    Returns:
        The labels, uint8 [H, W], and their names.

    Raises:
        EdgePipelineError: As for `Segmenter`, `read_picture` and `Segmenter.segment`.
    """
    if isinstance(picture, np.ndarray):
        read = picture_of_array(picture)
    else:
        read = read_picture(Path(picture))
    tiling = Tiling(overlap, resize)
    with Segmenter(model, phi=phi, threads=threads, tiling=tiling) as segmenter:
        return segmenter.segment(read)
