"""Predict the filters of a capture from one view of it.

All tiles of the capture use these filters, so there are no seams between tiles.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge_pipeline.artifact.manifest import ProgramSpec
from edge_pipeline.errors import RuntimeFailure
from edge_pipeline.isp.tiles import grow
from edge_pipeline.raw.windows import view
from edge_pipeline.runtime.base import Session

__all__ = ["fixed_size", "predicted_filters"]


def fixed_size(spec: ProgramSpec) -> tuple[int, int] | None:
    """Return the packed height and width that a program was compiled for; None if one is free."""
    shape = next(tensor.shape for tensor in spec.inputs if tensor.name == "packed")
    height, width = shape[-2:]
    if isinstance(height, int) and isinstance(width, int):
        return height, width
    return None


def predicted_filters(
    session: Session, spec: ProgramSpec, mosaic: NDArray[np.float32]
) -> dict[str, NDArray[np.float32]]:
    """Return the predicted filters of a capture, by tensor name.

    Args:
        session: Session of the program `predict_filters`.
        spec: Description of this program in the manifest.
        mosaic: [H, W], normalised, aligned to RGGB and to the stride.

    Raises:
        RuntimeFailure: If a predicted filter is not finite.
    """
    size = fixed_size(spec)
    if size is not None:
        mosaic = grow(mosaic, 2 * size[0], 2 * size[1])
    filters = session.run({"packed": view(mosaic, size)})
    for name, value in filters.items():
        if not np.isfinite(value).all():
            raise RuntimeFailure(f"the predicted filter {name} is not finite; verify the artifact")
    return filters
