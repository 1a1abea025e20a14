"""The forms of deployment: which programs, and what eager makes of an input through them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from edge_pipeline.artifact.manifest import WeightsForm
from edge_pipeline.artifact.provenance import Calibration
from edge_pipeline.compiler.precision.calibrate import calibrated_filters
from edge_pipeline.compiler.precision.samples import bundled_files
from edge_pipeline.compiler.source import entries
from edge_pipeline.compiler.source.entries import Entry
from edge_pipeline.errors import InputError
from edge_pipeline.models.network import FilterNetwork
from edge_pipeline.raw.windows import WINDOW

__all__ = ["Form", "form_of", "samples_for"]


@dataclass(frozen=True)
class Form:
    """A form of deployment of one network.

    Attributes:
        filters: what becomes of computed weights.
        phi: what the network is specialised for, if it is.
        entries: the programs, in the manifest's order.
        calibration: what folded filters were predicted on.
        window: side of what the predictor of a split network sees at most.
    """

    filters: WeightsForm
    phi: float | None
    entries: tuple[Entry, ...]
    calibration: Calibration | None = None
    window: int = WINDOW

    def run(self, inputs: tuple[Tensor, ...]) -> NDArray[np.float32]:
        """The network's first output, eagerly and in fp32; a predictor sees the first window."""
        if self.filters == "split":
            seen = inputs[0][:, :, : self.window, : self.window].contiguous()
            inputs = (*inputs, *self.entries[0].run((seen,)))
        output: NDArray[np.float32] = self.entries[-1].run(inputs)[0].numpy()
        return output


def form_of(
    network: nn.Module,
    example: tuple[Tensor, ...],
    filters: WeightsForm,
    phi: float | None,
    calibration: Sequence[Path],
    window: int = WINDOW,
) -> Form:
    """The form that is asked for.

    Args:
        network: in eval mode.
        example: an input of it.
        filters: `dynamic`, `folded` or `split`; `specialised` is what phi makes of `dynamic`.
        phi: wanted by networks that have one, refused by others.
        calibration: captures for `folded`; those that come with the project when empty.
        window: side of what the predictor of a split network sees at most.

    Raises:
        InputError: the network cannot be had in that form.
        CaptureError: a capture cannot be read.
    """
    if phi is not None:
        if filters not in ("dynamic", "specialised"):
            raise InputError(f"--filters {filters} does not go with --phi {phi:g}; leave it out")
        entry = entries.specialised(network, example, phi)
        return Form("specialised", phi, (entry,))
    if filters == "specialised":
        raise InputError("a specialised network wants its phi; give --phi")
    if filters == "dynamic":
        return Form("dynamic", None, (entries.dynamic(network, example),))
    if filters == "split":
        both = entries.split(network, example, window)
        return Form("split", None, both, window=window)
    entries.as_filter_network(network)
    captures = list(calibration) or bundled_files("packed_bayer_white_balanced")
    folded, record = calibrated_filters(network, captures)
    return Form("folded", None, (entries.given(network, example, folded),), record)


def samples_for(
    entry: Entry,
    network: nn.Module,
    inputs: Sequence[tuple[Tensor, ...]],
    window: int = WINDOW,
) -> Sequence[tuple[Tensor, ...]]:
    """Inputs of the network as inputs of one of its programs.

    Args:
        entry: the program.
        network: which predicts the filters that a path takes.
        inputs: of the network.
        window: side of what a predictor sees at most.
    """
    if entry.name == "forward" or not isinstance(network, FilterNetwork):
        return inputs
    windows = [(one[0][:, :, :window, :window].contiguous(),) for one in inputs]
    if entry.name == "predict_filters":
        return windows
    with torch.no_grad():
        predicted = [network.predict_filters(window) for (window,) in windows]
    return [(*one, *filters.values()) for one, filters in zip(inputs, predicted, strict=True)]
