"""The filters of a capture: predicted on windows spread over it, and averaged.

All tiles then get the one set, so there are no seams.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge_pipeline.artifact.manifest import ProgramSpec, Tile
from edge_pipeline.errors import RuntimeFailure
from edge_pipeline.isp.tiles import grow
from edge_pipeline.raw.windows import WINDOW, windows
from edge_pipeline.runtime.base import Session

__all__ = ["average_filters", "fixed_size"]


def fixed_size(spec: ProgramSpec) -> tuple[int, int] | None:
    """Packed height and width that a program was compiled for; None where both are free."""
    shape = next(tensor.shape for tensor in spec.inputs if tensor.name == "packed")
    height, width = shape[-2:]
    if isinstance(height, int) and isinstance(width, int):
        return height, width
    return None


def average_filters(
    session: Session, spec: ProgramSpec, mosaic: NDArray[np.float32], tile: Tile
) -> dict[str, NDArray[np.float32]]:
    """The filters of a capture, by tensor name.

    Args:
        session: the open program `predict_filters`.
        spec: what the manifest says of it.
        mosaic: [H, W], normalised, aligned to RGGB and to the stride.
        tile: the artifact's grid.

    Raises:
        RuntimeFailure: the predictor gives a filter that is not finite.
    """
    size = fixed_size(spec)
    if size is None:
        size = (min(WINDOW, mosaic.shape[0] // 2), min(WINDOW, mosaic.shape[1] // 2))
    mosaic = grow(mosaic, 2 * size[0], 2 * size[1])
    sums: dict[str, NDArray[np.float64]] = {}
    count = 0
    for window in windows(mosaic, size, tile.stride):
        count += 1
        for name, value in session.run({"packed": window}).items():
            sums[name] = sums.get(name, np.zeros(value.shape)) + value
    filters = {name: np.asarray(total / count, np.float32) for name, total in sums.items()}
    for name, value in filters.items():
        if not np.isfinite(value).all():
            raise RuntimeFailure(f"the predicted filter {name} is not finite; verify the artifact")
    return filters
