"""The scores of a point, from the counts of pixels of each picture."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edge_pipeline.errors import InputError
from edge_pipeline.overlap import overlap_of
from edge_pipeline.select.record import LabelScore, Scores

__all__ = ["scores_of"]


def scores_of(
    counts: Sequence[NDArray[np.int64]], labels: Sequence[str], *, background: bool
) -> Scores:
    """Return the scores of all pictures, of each label and of each picture.

    Args:
        counts: Counts of each picture, [labels, labels]; the first axis is the true label.
        labels: Names of the labels.
        background: Whether label 0 is the background, which the means leave out.

    Raises:
        InputError: If no label except the background is true or predicted in any picture.
    """
    whole = overlap_of(counts, background=background)
    if math.isnan(whole.dice):
        raise InputError(
            "no picture has a label except the background, so there is no Dice score; use another "
            "split or data set"
        )
    each = [overlap_of([picture], background=background) for picture in counts]
    by_label = [[one.label_dice[k] for one in each] for k in range(len(labels))]
    return Scores(
        dice=whole.dice,
        iou=whole.iou,
        labels=tuple(
            _label(name, dice, mean, iou)
            for name, dice, mean, iou in zip(
                labels, by_label, whole.label_dice, whole.label_iou, strict=True
            )
        ),
        picture_dice=tuple(_known(one.dice) for one in each),
    )


def _label(name: str, dice: list[float], mean: float, iou: float) -> LabelScore:
    seen = [value for value in dice if not math.isnan(value)]
    return LabelScore(
        label=name,
        dice=_known(mean),
        dice_std=float(np.std(seen, ddof=1)) if len(seen) > 1 else None,
        iou=_known(iou),
        pictures=len(seen),
    )


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value
