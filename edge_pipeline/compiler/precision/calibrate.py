"""Filters for folding: predicted on calibration captures, and averaged."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from edge_pipeline.artifact.provenance import Calibration, CalibrationFile
from edge_pipeline.compiler.precision.samples import CAPTURE_SPACE, aligned_mosaic, bundled_files
from edge_pipeline.compiler.source.entries import Entry, predictor
from edge_pipeline.compiler.source.network import SourceNetwork
from edge_pipeline.errors import CompileError, InputError
from edge_pipeline.files import sha256_of
from edge_pipeline.raw.windows import PER_AXIS, VIEW, view

__all__ = ["METHOD", "calibrated_filters"]

# The ISP predicts filters for a capture in the same way, so folding changes only the capture.
METHOD = (
    f"filters predicted on a view of at most {VIEW} x {VIEW} packed pixels of each capture, "
    f"{PER_AXIS} x {PER_AXIS} evenly spread windows side by side, as-shot white balance; averaged "
    "over captures"
)


def _mean(sets: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    return {name: torch.stack([one[name] for one in sets]).mean(0) for name in sets[0]}


def calibrated_filters(
    network: SourceNetwork, captures: Sequence[Path]
) -> tuple[dict[str, Tensor], Calibration]:
    """Predict the filters to fold, and record the captures that they are predicted on.

    Args:
        network: Network that computes weights from its inputs.
        captures: RAW files; if empty, the captures that come with the project. A network whose
            input is not a capture predicts its filters on its example inputs.

    Returns:
        The filters by name, in float32 and in the shapes that the network uses, and the record.

    Raises:
        InputError: If the network computes no weights that are the same for a whole input, or
            captures are given for a network whose input is not a capture.
        CaptureError: If a capture cannot be read.
        CompileError: If a predicted filter is not finite.
    """
    geometry = network.geometry
    if geometry.inputs[0].space != CAPTURE_SPACE:
        return _of_example(network, captures)
    predict = _Predictor(network)
    sets: list[dict[str, Tensor]] = []
    files: list[CalibrationFile] = []
    for path in list(captures) or bundled_files(CAPTURE_SPACE):
        mosaic = aligned_mosaic(path, geometry)
        predicted = predict((torch.from_numpy(view(mosaic)),))
        # In double precision, so that the mean does not depend on the captures' order.
        sets.append({name: value.double() for name, value in predicted.items()})
        files.append(CalibrationFile(name=path.name, sha256=sha256_of(path)))
    filters = {name: value.float() for name, value in _mean(sets).items()}
    return _finite(filters), Calibration.of(files, METHOD)


def _of_example(
    network: SourceNetwork, captures: Sequence[Path]
) -> tuple[dict[str, Tensor], Calibration]:
    """Predict filters on the example inputs of a network whose input is not a capture."""
    if captures:
        port = network.geometry.inputs[0]
        raise InputError(
            f"the input {port.name} is not a packed Bayer capture, so {captures[0]} cannot "
            "calibrate it; leave out --calibration"
        )
    filters = _Predictor(network)(network.example)
    return _finite(filters), Calibration.of([], "filters predicted on the example inputs")


class _Predictor:
    """The filter predictor of a network, traced once for free sizes or once for each size.

    Tracing a fixed size takes a third of the time, and nearly all captures have the same view.
    """

    def __init__(self, network: SourceNetwork) -> None:
        self._network = network
        self._entries: dict[tuple[int, ...], Entry] = {}

    def __call__(self, inputs: tuple[Tensor, ...]) -> dict[str, Tensor]:
        """Return the filters for one set of inputs."""
        free = self._network.free_sizes
        key = () if free else tuple(inputs[0].shape)
        if key not in self._entries:
            self._entries[key] = predictor(self._network.sized(inputs, free_sizes=free))
        entry = self._entries[key]
        named = dict(zip((p.name for p in self._network.geometry.inputs), inputs, strict=True))
        values = entry.run(tuple(named[role.name] for role in entry.inputs))
        return {role.name: value for role, value in zip(entry.outputs, values, strict=True)}


def _finite(filters: dict[str, Tensor]) -> dict[str, Tensor]:
    for name, value in filters.items():
        if not torch.isfinite(value).all():
            raise CompileError(f"the filter {name} predicted for calibration is not finite")
    return filters
