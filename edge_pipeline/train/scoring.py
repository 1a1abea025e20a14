"""Predictions of a segmenter for one phi on the pictures of a labelled data set."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.func import functional_call

from edge_pipeline.data.labelled import LabelledPictures
from edge_pipeline.errors import InputError, JobError
from edge_pipeline.models.amortised import Amortised
from edge_pipeline.train.evaluation import SizedPictures, counts_of, outputs_for

__all__ = ["Scorer", "check_fits"]

Factors = float | tuple[float, ...]


class Scorer:
    """Counts the pixels of each pair of a true and a predicted label, for any phi.

    Args:
        model: Network from a picture and phi to scores.
        data: Labelled pictures.
        size: Height and width that pictures and masks are scaled to; None keeps them.

    Raises:
        InputError: If the network has other channels or labels than the data set.
    """

    def __init__(
        self, model: nn.Module, data: LabelledPictures, size: tuple[int, int] | None
    ) -> None:
        check_fits(model, data)
        self._model, self._pictures = model.eval(), SizedPictures(data, size)

    def counts(
        self, phi: Factors, on_picture: Callable[[int], None] = lambda _index: None
    ) -> list[NDArray[np.int64]]:
        """Return the counts of each picture, [labels, labels]; the first axis is the true label.

        Args:
            phi: Rescaling factor, or one for each rescaling.
            on_picture: Function that is called with the position of each picture before it is
                evaluated.

        Raises:
            InputError: If phi is outside the trained range, or a picture or mask cannot be used.
            JobError: If the network's output is not finite.
        """
        return counts_of(_AtPhi(self._model, phi), self._pictures, phi, on_picture)


class _AtPhi(nn.Module):
    """A network at one phi, whose predicted weights, if any, are predicted once."""

    def __init__(self, model: nn.Module, phi: Factors) -> None:
        super().__init__()
        self._model = model
        with torch.no_grad():
            self._weights = model.weights(phi) if isinstance(model, Amortised) else None

    def forward(self, x: Tensor, phi: Factors) -> Tensor:
        scores: Tensor
        if self._weights is None or not isinstance(self._model, Amortised):
            scores = self._model(x, phi)
        else:
            scores = functional_call(self._model.network, self._weights, (x, phi))
        if not torch.isfinite(scores).all():  # a comparison with NaN would be a label
            raise JobError(
                f"the network's output at phi {phi} is not finite; the checkpoint is of a "
                "training that failed"
            )
        return scores


def check_fits(model: nn.Module, data: LabelledPictures) -> None:
    """Check that a network has the channels and labels of a data set.

    Args:
        model: Network with the attributes of `models.network.Network`.
        data: Labelled pictures.

    Raises:
        InputError: If this is not so.
    """
    network: Any = model
    labels = len(data.labels)
    channels, outputs = network.inputs[0].channels, network.outputs[0].channels
    if channels != data.channels:
        raise InputError(
            f"the network expects pictures of {channels} channels, and those of {data.name} have "
            f"{data.channels}; use another checkpoint or data set"
        )
    if outputs not in outputs_for(data):
        raise InputError(
            f"the network predicts {max(outputs, 2)} labels, and {data.name} has {labels} "
            f"({', '.join(data.labels[:4])}{', ...' if labels > 4 else ''}); use another "
            "checkpoint or data set"
        )
