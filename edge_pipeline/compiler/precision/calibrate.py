"""Filters for folding: predicted on windows of calibration captures, and averaged."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from edge_pipeline.artifact.provenance import Calibration, CalibrationFile
from edge_pipeline.compiler.precision.samples import aligned_mosaic
from edge_pipeline.compiler.source.entries import as_filter_network
from edge_pipeline.compiler.source.geometry import Geometry
from edge_pipeline.errors import CompileError, InputError
from edge_pipeline.files import sha256_of
from edge_pipeline.raw.windows import PER_AXIS, WINDOW, windows

__all__ = ["METHOD", "calibrated_filters"]

# As the ISP predicts filters for a capture, so that folding changes nothing but the capture.
METHOD = (
    f"filters predicted on up to {PER_AXIS} x {PER_AXIS} evenly spread windows of {WINDOW} x "
    f"{WINDOW} packed pixels of each capture, as-shot white balance; averaged over windows, then "
    "over captures"
)


def _windows(mosaic: NDArray[np.float32], stride: int) -> Iterator[Tensor]:
    """Windows [1, 4, h, w] of an aligned mosaic, no larger than it is."""
    height, width = (min(WINDOW, side // 2) for side in mosaic.shape)
    return map(torch.from_numpy, windows(mosaic, (height, width), stride))


def _mean(sets: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    return {name: torch.stack([one[name] for one in sets]).mean(0) for name in sets[0]}


def calibrated_filters(
    model: nn.Module, captures: Sequence[Path]
) -> tuple[dict[str, Tensor], Calibration]:
    """The filters to fold, and the record of where they came from.

    Args:
        model: predicts filters; in eval mode.
        captures: RAW files, at least one.

    Returns:
        Filters by name, each [1, ...], float32.

    Raises:
        InputError: there is no capture, or the network predicts no filters or takes no Bayer.
        CaptureError: a capture cannot be read.
        CompileError: a predicted filter is not finite.
    """
    network, geometry = as_filter_network(model), Geometry.of(model)
    if not captures:
        raise InputError("the calibration set is empty; name at least one capture")
    channels = geometry.inputs[0].channels
    if channels != 4:
        raise InputError(
            f"the network takes {channels} channels, and calibration captures are packed Bayer "
            "with 4; compile with --filters dynamic or split"
        )
    sets: list[dict[str, Tensor]] = []
    files: list[CalibrationFile] = []
    for path in captures:
        mosaic = aligned_mosaic(path, geometry)
        with torch.no_grad():
            # In double precision, so that the mean does not depend on the windows' order.
            predicted = [
                {name: value.double() for name, value in network.predict_filters(window).items()}
                for window in _windows(mosaic, geometry.stride)
            ]
        sets.append(_mean(predicted))
        files.append(CalibrationFile(name=path.name, sha256=sha256_of(path)))
    filters = {name: value.float() for name, value in _mean(sets).items()} if sets[0] else {}
    for name, value in filters.items():
        if not torch.isfinite(value).all():
            raise CompileError(f"the filter {name} predicted for calibration is not finite")
    return filters, Calibration.of(files, METHOD)
