"""Losses between scores of labels and masks; each is a mean over samples."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from torch import Tensor

__all__ = ["bootstrapped", "cross_entropies", "probabilities", "soft_dice_loss"]


def cross_entropies(scores: Tensor, masks: Tensor, ignored: int) -> Tensor:
    """Return the cross entropy of each pixel, [N, H, W], zero for ignored pixels.

    A network with one output scores the foreground; the score of the background is then 0, so that
    each pixel has exactly one label.

    Args:
        scores: Scores [N, C, H, W], before softmax or, if C is 1, sigmoid.
        masks: Labels [N, H, W], int64, 0 to max(C, 2) - 1, or `ignored`.
        ignored: Value of pixels without a label.
    """
    return F.cross_entropy(_with_background(scores), masks, ignore_index=ignored, reduction="none")


def probabilities(scores: Tensor) -> Tensor:
    """Return the probabilities [N, max(C, 2), H, W] of scores [N, C, H, W]."""
    return _with_background(scores).softmax(1)


def _with_background(scores: Tensor) -> Tensor:
    scores = scores.float()
    if scores.shape[1] > 1:
        return scores
    return torch.cat([torch.zeros_like(scores), scores], 1)


def bootstrapped(errors: Tensor, counted: Tensor, share: float) -> Tensor:
    """Return the mean error of the pixels with the largest errors, averaged over samples.

    Args:
        errors: Error of each pixel [N, H, W].
        counted: Whether a pixel has a label, boolean [N, H, W].
        share: Share of the labelled pixels of a sample that are counted, above 0 to 1; 1 is the
            mean over all labelled pixels.

    Source: Z. Wu et al., Bridging category-level and instance-level semantic image segmentation,
    arXiv 1605.06885, section 3.
    """
    means = []
    for error, valid in zip(errors, counted, strict=True):
        values = error[valid]
        if share < 1 and len(values):
            values = values.topk(math.ceil(share * len(values))).values
        # A sample without a labelled pixel has the loss 0.
        means.append(values.sum() / max(len(values), 1))
    return torch.stack(means).mean()


def soft_dice_loss(scores: Tensor, masks: Tensor, ignored: int, *, background: bool) -> Tensor:
    """Return one minus the mean soft Dice score of the labels of each sample.

    Args:
        scores: Scores [N, C, H, W], before softmax or, if C is 1, sigmoid.
        masks: Labels [N, H, W], int64, or `ignored`.
        ignored: Value of pixels without a label.
        background: Whether label 0 is the background, which is left out.

    Source: F. Milletari et al., V-Net, 3DV 2016, section 3, without squares.
    """
    shares = probabilities(scores)
    valid = (masks != ignored)[:, None]
    labels = F.one_hot(masks.where(valid[:, 0], 0), shares.shape[1]).movedim(-1, 1) * valid
    shares = shares * valid
    # The 1 makes the score of a label that is neither true nor predicted 1.
    score = (2 * (shares * labels).sum((2, 3)) + 1) / ((shares + labels).sum((2, 3)) + 1)
    return 1 - score[:, 1 if background else 0 :].mean()
