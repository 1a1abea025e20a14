"""Metrics of segmentations: the Dice score and the intersection over union."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Overlap", "confusion", "overlap_of"]


@dataclass(frozen=True)
class Overlap:
    """The agreement of predicted masks with true ones.

    Attributes:
        dice: Mean Dice score over labels, 0 to 1, without the background.
        iou: Mean intersection over union over labels, 0 to 1, without the background.
        label_dice: Dice score by label; NaN for a label that occurs in no mask.
        label_iou: Intersection over union by label; NaN for a label that occurs in no mask.
    """

    dice: float
    iou: float
    label_dice: tuple[float, ...]
    label_iou: tuple[float, ...]


def confusion(
    predicted: NDArray[np.integer], true: NDArray[np.integer], labels: int
) -> NDArray[np.int64]:
    """Return the number of pixels of each pair of a true and a predicted label.

    Args:
        predicted: Predicted labels [H, W], 0 to `labels` - 1.
        true: True labels [H, W]; pixels with other values than 0 to `labels` - 1 are ignored.
        labels: Number of labels.

    Returns:
        Counts [labels, labels]; the first axis is the true label.
    """
    counted = (true >= 0) & (true < labels)
    pairs = true[counted].astype(np.int64) * labels + predicted[counted]
    return np.bincount(pairs, minlength=labels * labels).reshape(labels, labels)


def overlap_of(counts: Sequence[NDArray[np.int64]], *, background: bool) -> Overlap:
    """Return the metrics of several pictures.

    The Dice score of a label is the mean over the pictures in which the label is true or
    predicted. The intersection over union of a label is that of all pixels of all pictures.

    Args:
        counts: Counts of each picture, from `confusion`; at least one.
        background: Whether label 0 is the background, which the means leave out.

    Source: [AmortizedScaling], section 4.1 "Evaluation", for the Dice score.
    """
    stacked = np.stack(counts).astype(np.float64)  # [pictures, labels, labels]
    hits = stacked.diagonal(axis1=1, axis2=2)  # [pictures, labels]
    sizes = stacked.sum(2) + stacked.sum(1)
    with np.errstate(invalid="ignore", divide="ignore"):
        dice = 2 * hits / sizes
        iou = hits.sum(0) / (sizes - hits).sum(0)
    seen = (~np.isnan(dice)).sum(0)
    mean = np.where(seen > 0, np.nansum(dice, 0) / np.maximum(seen, 1), np.nan)
    first = 1 if background else 0
    return Overlap(
        dice=_mean(mean[first:]),
        iou=_mean(iou[first:]),
        label_dice=tuple(map(float, mean)),
        label_iou=tuple(map(float, iou)),
    )


def _mean(values: NDArray[np.float64]) -> float:
    """Return the mean of the values that are numbers; NaN if there is none."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")
