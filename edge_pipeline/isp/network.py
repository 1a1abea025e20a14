"""An artifact's network, run over a whole mosaic of any size, tile by tile."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge_pipeline.artifact.store import Artifact
from edge_pipeline.closing import Closing
from edge_pipeline.errors import ArtifactError, InputError, RuntimeFailure
from edge_pipeline.isp.filters import fixed_size, predicted_filters
from edge_pipeline.isp.grain import keep_grain
from edge_pipeline.isp.tiles import (
    Span,
    Tile,
    cut,
    fixed_spans,
    flexible_spans,
    grow,
    single_span,
    tiles,
)
from edge_pipeline.raw.cfa import pack
from edge_pipeline.runtime.base import Session, open_session

__all__ = ["LARGEST_WINDOW", "Core", "IspSession"]

# Packed pixels along an axis: more takes more memory, and less computes the halos more often.
LARGEST_WINDOW = 1024

_COLOURS = 3
_SCALE = 2

Arrays = dict[str, NDArray[np.float32]]
_Run = Callable[[NDArray[np.float32]], NDArray[np.float32]]


class Core(NamedTuple):
    """The part that one tile contributes.

    Attributes:
        top: its first row in the mosaic.
        left: its first column in the mosaic.
        rgb: float32 [3, h, w], what the network gives for it.
        done: tiles finished, this one among them.
        total: tiles of the mosaic.
    """

    top: int
    left: int
    rgb: NDArray[np.float32]
    done: int
    total: int


class IspSession(Closing):
    """An artifact opened for developing; used as a context manager.

    The path of a refolded artifact is loaded for each mosaic, with its filters as constants.

    Args:
        artifact: a checked artifact.
        threads: how many threads compute.
        largest: longest tile, in packed pixels, where the artifact leaves the size free.

    Raises:
        ArtifactError: the network does not give two RGB pixels for a packed one.
        RuntimeFailure: the runtime cannot load it.
    """

    def __init__(self, artifact: Artifact, *, threads: int, largest: int = LARGEST_WINDOW) -> None:
        self.artifact = artifact
        self._tile = artifact.manifest.tile
        self._largest = largest
        if self._tile.scale != _SCALE:
            raise ArtifactError(
                f"{artifact.folder} gives {self._tile.scale} pixels for a packed one; "
                f"developing needs a network that gives {_SCALE}"
            )
        self._threads = threads
        self._path = artifact.manifest.programs[-1]
        self._fixed = fixed_size(self._path)
        self._run: Session | None = None
        self._predict: Session | None = None
        with ExitStack() as stack:
            if artifact.manifest.filters != "refolded":  # whose path is opened for each capture
                self._run = stack.enter_context(
                    open_session(artifact, self._path.name, threads=threads)
                )
            if len(artifact.manifest.programs) > 1:
                self._predict = stack.enter_context(
                    open_session(artifact, "predict_filters", threads=threads)
                )
            self._open = stack.pop_all()

    def close(self) -> None:
        """Close its programs."""
        self._open.close()

    @property
    def multiple(self) -> int:
        """Sizes of a mosaic must divide by this, in mosaic pixels."""
        return 2 * self._tile.stride

    def filters(self, mosaic: NDArray[np.float32]) -> Arrays:
        """The filters for a mosaic; none if the artifact has no predictor of its own.

        Args:
            mosaic: [H, W], normalised, aligned to RGGB, sizes divisible by `multiple`.

        Raises:
            RuntimeFailure: the runtime failed.
        """
        if self._predict is None:
            return {}
        height, width = self._least()
        mosaic = grow(mosaic, 2 * height, 2 * width)
        spec = self.artifact.program("predict_filters")
        return predicted_filters(self._predict, spec, mosaic)

    def cores(
        self,
        mosaic: NDArray[np.float32],
        filters: Arrays,
        *,
        grain: float = 0.0,
    ) -> Iterator[Core]:
        """Run the network over a mosaic that is extended by reflection as far as a pixel sees.

        Args:
            mosaic: [H, W], normalised, aligned to RGGB, sizes divisible by `multiple`.
            filters: those of `filters` for it.
            grain: share of the sensor's noise to keep, 0..1; for linear camera RGB only.

        Yields:
            Cores that cover the mosaic, each pixel once.

        Raises:
            InputError: the mosaic is larger than an artifact takes that cannot be tiled, or the
                filters do not fit.
            RuntimeFailure: the runtime failed, or gave values that are not finite.
        """
        rows, cols = self._spans((mosaic.shape[0] // 2, mosaic.shape[1] // 2))
        total = len(rows) * len(cols)
        with self._with_filters(filters) as run:
            for i, tile in enumerate(tiles(rows, cols)):
                rgb = self._run_tile(mosaic, run, tile, grain)
                yield Core(2 * tile.rows.core_start, 2 * tile.cols.core_start, rgb, i + 1, total)

    @contextmanager
    def _with_filters(self, filters: Arrays) -> Iterator[_Run]:
        """The path with the filters of a capture; packed [1, 4, h, w] -> rgb [1, C, 2h, 2w]."""
        if self._run is not None:
            session = self._run
            yield lambda packed: session.run({"packed": packed, **filters})["rgb"]
        else:
            with open_session(
                self.artifact, self._path.name, threads=self._threads, constants=filters
            ) as own:
                yield lambda packed: own.run({"packed": packed})["rgb"]

    def _run_tile(
        self, mosaic: NDArray[np.float32], run: _Run, tile: Tile, grain: float
    ) -> NDArray[np.float32]:
        rows, cols = tile.rows, tile.cols
        packed = pack(cut(mosaic, tile))
        # [1, 3, 2h, 2w] -> [3, 2h, 2w] of the window -> of the core
        rgb = run(packed[None])[0, :_COLOURS]
        rgb = keep_grain(rgb, packed, grain)
        top, left = rows.core_start - rows.start, cols.core_start - cols.start
        high, wide = rows.core_stop - rows.core_start, cols.core_stop - cols.core_start
        core = rgb[:, 2 * top : 2 * (top + high), 2 * left : 2 * (left + wide)]
        if not np.isfinite(core).all():
            raise RuntimeFailure(
                f"{self.artifact.folder} gave values that are not finite; verify the artifact"
            )
        return core

    def _least(self) -> tuple[int, int]:
        """Smallest packed size that the network takes."""
        if self._fixed is not None:
            return self._fixed
        stride = self._tile.stride
        least = stride * -(-self._tile.minimum // stride)
        return least, least

    def _spans(self, size: tuple[int, int]) -> tuple[list[Span], list[Span]]:
        """Rows and columns of tiles for a packed size."""
        stride, halo = self._tile.stride, self._tile.halo
        if halo is None or self.artifact.manifest.filters == "dynamic":
            return self._in_one_piece(size, halo or 0)
        if self._fixed is None:
            least = self._least()[0]
            rows, cols = (
                flexible_spans(n, stride=stride, halo=halo, largest=self._largest, least=least)
                for n in size
            )
        else:
            rows, cols = (
                fixed_spans(n, stride=stride, halo=halo, window=window)
                for n, window in zip(size, self._fixed, strict=True)
            )
        return rows, cols

    def _in_one_piece(self, size: tuple[int, int], margin: int) -> tuple[list[Span], list[Span]]:
        """A single tile, with a margin where its size leaves room for one."""
        if self._fixed is not None and any(n > m for n, m in zip(size, self._fixed, strict=True)):
            raise InputError(self._too_large(size))
        rows, cols = (
            [
                single_span(
                    n,
                    stride=self._tile.stride,
                    margin=margin,
                    window=least if self._fixed else max(least, n + 2 * margin),
                )
            ]
            for n, least in zip(size, self._least(), strict=True)
        )
        return rows, cols

    def _too_large(self, size: tuple[int, int]) -> str:
        height, width = self._fixed or size
        remedy = (
            "its head cannot be tiled, so compile for ONNX with free sizes, or with head=shuffle"
            if self._tile.halo is None
            else "with --filters dynamic it cannot be tiled, so compile with split or folded"
        )
        return (
            f"{self.artifact.folder} takes {2 * height} x {2 * width} pixels and the capture has "
            f"{2 * size[0]} x {2 * size[1]}; {remedy}"
        )
