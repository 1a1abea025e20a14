"""Predict the filters of a capture, from one view of it or from all of it.

All tiles of the capture use these filters, so there are no seams between tiles.
"""

from __future__ import annotations

from contextlib import ExitStack

import numpy as np
from numpy.typing import NDArray

from edge_pipeline.artifact.manifest import ProgramSpec
from edge_pipeline.artifact.store import Artifact
from edge_pipeline.errors import RuntimeFailure
from edge_pipeline.isp.tiles import grow
from edge_pipeline.raw.cfa import Mosaic, pack
from edge_pipeline.raw.windows import view
from edge_pipeline.runtime.base import Session, open_session
from edge_pipeline.runtime.streaming import Picture, streamed_filters

__all__ = ["exact_filters", "fixed_size", "predicted_filters"]

Arrays = dict[str, NDArray[np.float32]]


def fixed_size(spec: ProgramSpec) -> tuple[int, int] | None:
    """Return the packed height and width that a program was compiled for; None if one is free."""
    shape = next(tensor.shape for tensor in spec.inputs if tensor.name == "packed")
    height, width = shape[-2:]
    if isinstance(height, int) and isinstance(width, int):
        return height, width
    return None


def predicted_filters(session: Session, spec: ProgramSpec, mosaic: Mosaic) -> Arrays:
    """Return the predicted filters of a capture, by tensor name.

    They are copies, because arrays of a runtime can keep all of a closed session's memory.

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
    filters = _finite(session.run({"packed": view(mosaic, size)}))
    return {name: value.copy() for name, value in filters.items()}


def exact_filters(
    artifact: Artifact,
    mosaic: Mosaic,
    *,
    threads: int,
    minimum: int,
    largest: int,
) -> Arrays:
    """Return the filters that a predictor which sees the whole capture computes, by tensor name.

    Args:
        artifact: Artifact with the stages of a streamed predictor.
        mosaic: [H, W], normalised, aligned to RGGB and to the stride.
        threads: Number of threads that compute.
        minimum: Smallest side of a tile, in packed pixels.
        largest: Largest side of a tile, in packed pixels.

    Raises:
        RuntimeFailure: If the runtime fails, or a predicted filter is not finite.
    """
    manifest = artifact.manifest
    names = {tensor.name for tensor in manifest.programs[0].outputs}

    def cut(rows: slice, columns: slice) -> NDArray[np.float32]:
        top, left = 2 * rows.start, 2 * columns.start
        return np.stack([pack(mosaic[top : 2 * rows.stop, left : 2 * columns.stop])])

    size = (mosaic.shape[0] // 2, mosaic.shape[1] // 2)
    picture = Picture("packed", size, cut, manifest.tile.stride, minimum, largest)
    with ExitStack() as stack:
        sessions: dict[str, Session] = {}

        def run(spec: ProgramSpec, inputs: Arrays) -> Arrays:
            if spec.name not in sessions:
                session = open_session(artifact, spec.name, threads=threads)
                sessions[spec.name] = stack.enter_context(session)
            return sessions[spec.name].run(inputs)

        filters = streamed_filters(manifest.stages, run, picture)
    return _finite({name: value for name, value in filters.items() if name in names})


def _finite(filters: Arrays) -> Arrays:
    for name, value in filters.items():
        if not np.isfinite(value).all():
            raise RuntimeFailure(f"the predicted filter {name} is not finite; verify the artifact")
    return filters
