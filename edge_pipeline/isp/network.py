"""Run an artifact's network over a mosaic of any size, tile by tile."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial

import numpy as np
from numpy.typing import NDArray

from edge_pipeline.artifact.store import Artifact
from edge_pipeline.closing import Closing
from edge_pipeline.errors import ArtifactError, InputError, RuntimeFailure
from edge_pipeline.isp.filters import exact_filters, fixed_size, predicted_filters
from edge_pipeline.isp.grain import keep_grain
from edge_pipeline.isp.memory import MOST_TILES, usual_window
from edge_pipeline.isp.parallel import in_order
from edge_pipeline.isp.tiles import (
    Core,
    Span,
    Tile,
    cut,
    fixed_spans,
    flexible_spans,
    grow,
    inner,
    single_span,
    tiles,
)
from edge_pipeline.raw.cfa import Mosaic, pack
from edge_pipeline.runtime.base import Session, check_threads, open_session

__all__ = ["IspSession"]

_COLOURS = 3
_SCALE = 2

Arrays = dict[str, NDArray[np.float32]]
_Run = Callable[[NDArray[np.float32]], NDArray[np.float32]]


def _rgb(session: Session, filters: Arrays, packed: NDArray[np.float32]) -> NDArray[np.float32]:
    return session.run({"packed": packed, **filters})["rgb"]


class IspSession(Closing):
    """An artifact opened for developing captures; a context manager.

    The path is the program that uses the filters. That of a refolded artifact is loaded for each
    mosaic, with the mosaic's filters as constants. The predictor is closed after each prediction,
    so that its memory is free while tiles are computed, and opened again for the next mosaic.

    Args:
        artifact: Artifact whose files were checked.
        threads: Number of threads that compute.
        largest: Largest side of a tile in packed pixels, if the artifact's size is free; None for
            `usual_window` of its halo.
        at_once: Largest number of tiles that are computed at a time.

    Raises:
        ArtifactError: If the output's sides are not twice those of the packed input.
        InputError: If `threads` is outside 1 to 512.
        RuntimeFailure: If the runtime cannot load a program.
    """

    def __init__(
        self,
        artifact: Artifact,
        *,
        threads: int,
        largest: int | None = None,
        at_once: int = MOST_TILES,
    ) -> None:
        self.artifact = artifact
        self.at_once = max(1, min(threads, at_once))
        self._tile = artifact.manifest.tile
        self._largest = largest or usual_window(self._tile.halo or 0)
        if self._tile.scale != _SCALE:
            raise ArtifactError(
                f"{artifact.folder} has an output scale of {self._tile.scale} for packed input; "
                f"developing requires a network with scale {_SCALE}"
            )
        check_threads(threads)
        self.threads = threads
        self._path = artifact.manifest.programs[-1]
        self._fixed = fixed_size(self._path)
        self._paths: list[Session] = []
        self._predict: Session | None = None
        with ExitStack() as stack:
            if artifact.manifest.filters != "refolded":  # its path is opened for each capture
                self._paths = self._open_paths(stack, None)
            if len(artifact.manifest.programs) > 1:  # opened now, so that a fault is found now
                self._predict = self._open_predictor()
            self._open = stack.pop_all()

    def close(self) -> None:
        """Close the artifact's programs."""
        with ExitStack() as stack:
            stack.enter_context(self._open)
            if self._predict is not None:
                stack.enter_context(self._predict)
                self._predict = None

    @property
    def halo(self) -> int:
        """Distance from which input affects an output pixel, in packed pixels; 0 if unlimited."""
        return self._tile.halo or 0

    @property
    def multiple(self) -> int:
        """Number that must divide the sizes of a mosaic, in mosaic pixels."""
        return 2 * self._tile.stride

    def filters(self, mosaic: Mosaic, *, exact: bool = False) -> Arrays:
        """Return the filters for a mosaic; empty if the artifact has no separate predictor.

        Args:
            mosaic: [H, W], normalised, aligned to RGGB, sizes divisible by `multiple`.
            exact: Whether the predictor sees all of the mosaic, tile by tile, rather than windows.

        Raises:
            InputError: If `exact` and the artifact has no predictor that sees tiles.
            RuntimeFailure: If the runtime fails.
        """
        if exact and not self.artifact.manifest.stages:
            raise InputError(
                f"{self.artifact.folder} has no predictor for --filters exact; compile the network "
                "with --filters split or refolded and --streamed"
            )
        if len(self.artifact.manifest.programs) == 1:
            return {}
        height, width = self._least()
        mosaic = grow(mosaic, 2 * height, 2 * width)
        if exact:
            return exact_filters(
                self.artifact,
                mosaic,
                threads=self.threads,
                minimum=height,
                largest=self._largest,
            )
        spec = self.artifact.program("predict_filters")
        session, self._predict = self._predict or self._open_predictor(), None
        with session:
            return predicted_filters(session, spec, mosaic)

    def cores(
        self,
        mosaic: Mosaic,
        filters: Arrays,
        *,
        grain: float = 0.0,
        by_columns: bool = False,
        backwards: bool = False,
        largest: int | None = None,
    ) -> Iterator[Core]:
        """Run the network over a mosaic; reflection extends the mosaic by the halo.

        Args:
            mosaic: [H, W], normalised, aligned to RGGB, sizes divisible by `multiple`.
            filters: Filters of this mosaic, from the method `filters`.
            grain: Share of the sensor's noise to keep, 0..1; for linear camera RGB only.
            by_columns: Whether tiles follow each other column by column.
            backwards: Whether the last row (or column) of tiles comes first.
            largest: Largest side of a tile in packed pixels; None for that of this object.

        Yields:
            Cores that cover the mosaic, each pixel once.

        Raises:
            InputError: If the artifact cannot be tiled and the mosaic is larger than its input, or
                the filters do not fit.
            RuntimeFailure: If the runtime fails, or its output is not finite.
        """
        rows, cols = self._spans((mosaic.shape[0] // 2, mosaic.shape[1] // 2), largest)
        if not all(span.keeps(self._tile.margin) for span in (*rows, *cols)):
            raise InputError(self._without_margin(mosaic.shape))
        every = list(tiles(rows, cols, by_columns=by_columns, backwards=backwards))

        def core(run: _Run, tile: Tile) -> NDArray[np.float32]:
            return self._run_tile(mosaic, run, tile, grain)

        with self._with_filters(filters) as runs:
            results = zip(every, in_order(core, runs, every), strict=True)
            for i, (tile, rgb) in enumerate(results):
                top, left = 2 * tile.rows.core_start, 2 * tile.cols.core_start
                yield Core(top, left, rgb, i + 1, len(every))

    def _open_predictor(self) -> Session:
        return open_session(self.artifact, "predict_filters", threads=self.threads)

    def _open_paths(self, stack: ExitStack, constants: Arrays | None) -> list[Session]:
        """Open the path once for each tile that is computed at a time.

        Several tiles at once use the cores better than one tile with several threads, which wait
        for each other after every operator.
        """
        threads = self.threads // self.at_once
        return [
            stack.enter_context(
                open_session(self.artifact, self._path.name, threads=threads, constants=constants)
            )
            for _ in range(self.at_once)
        ]

    @contextmanager
    def _with_filters(self, filters: Arrays) -> Iterator[list[_Run]]:
        """Yield the paths with these filters.

        Each maps packed [1, 4, h, w] to rgb [1, C, 2h, 2w]; one thread may use it at a time.
        """
        with ExitStack() as stack:
            given = {} if not self._paths else filters
            sessions = self._paths or self._open_paths(stack, filters)
            yield [partial(_rgb, session, given) for session in sessions]

    def _run_tile(self, mosaic: Mosaic, run: _Run, tile: Tile, grain: float) -> NDArray[np.float32]:
        rows, cols = tile.rows, tile.cols
        packed = pack(cut(mosaic, tile))
        margin = self._tile.margin
        # [1, C, 2h, 2w] -> [3, 2h, 2w] of the window without margin -> [3, h', w'] of the core
        rgb = run(packed[None])[0, :_COLOURS]
        rgb = keep_grain(rgb, inner(packed, margin), grain)
        top, left = (s.core_start - s.start - margin for s in (rows, cols))
        high, wide = rows.core_stop - rows.core_start, cols.core_stop - cols.core_start
        kept = rgb[:, 2 * top : 2 * (top + high), 2 * left : 2 * (left + wide)]
        if not np.isfinite(kept).all():
            raise RuntimeFailure(
                f"{self.artifact.folder} returned values that are not finite; verify the artifact"
            )
        return kept

    def _least(self) -> tuple[int, int]:
        """Return the smallest packed height and width that the network accepts."""
        if self._fixed is not None:
            return self._fixed
        stride = self._tile.stride
        least = stride * -(-self._tile.minimum // stride)
        return least, least

    def _spans(self, size: tuple[int, int], largest: int | None) -> tuple[list[Span], list[Span]]:
        """Return the rows and columns of tiles for a packed size."""
        stride, halo = self._tile.stride, self._tile.halo
        if halo is None or self.artifact.manifest.filters == "dynamic":
            return self._in_one_piece(size, halo or 0)
        if self._fixed is None:
            least = self._least()[0]
            rows, cols = (
                flexible_spans(
                    n, stride=stride, halo=halo, largest=largest or self._largest, least=least
                )
                for n in size
            )
        else:
            rows, cols = (
                fixed_spans(n, stride=stride, halo=halo, window=window)
                for n, window in zip(size, self._fixed, strict=True)
            )
        return rows, cols

    def _in_one_piece(self, size: tuple[int, int], margin: int) -> tuple[list[Span], list[Span]]:
        """Return the spans of a single tile, with a margin if the compiled size has room for it."""
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

    def _without_margin(self, shape: tuple[int, ...]) -> str:
        height, width = self._fixed or (0, 0)
        margin = _SCALE * self._tile.margin
        return (
            f"{self.artifact.folder} accepts {2 * height} x {2 * width} pixels and returns none of "
            f"the {margin} at each edge, so a capture of {shape[0]} x {shape[1]} does not fit; "
            "compile it without --trimmed, or with a larger --input"
        )

    def _too_large(self, size: tuple[int, int]) -> str:
        height, width = self._fixed or size
        remedy = (
            "its head cannot be tiled, so compile for ONNX with free sizes, or with head=shuffle"
            if self._tile.halo is None
            else "with --filters dynamic it cannot be tiled, so compile with split or folded"
        )
        return (
            f"{self.artifact.folder} accepts {2 * height} x {2 * width} pixels and the capture has "
            f"{2 * size[0]} x {2 * size[1]}; {remedy}"
        )
