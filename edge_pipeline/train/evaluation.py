"""Masks that a segmenter predicts, and their metrics on a data set."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from numpy.typing import NDArray
from torch import Tensor, nn

from edge_pipeline.data.labelled import LabelledPictures
from edge_pipeline.overlap import Overlap, confusion, overlap_of

__all__ = ["coloured", "evaluate", "predicted_mask", "sized"]

# Colours of the labels, as multiples of the golden angle around the colour circle.
_TURN = 0.61803398875


def sized(
    picture: NDArray[np.float32], mask: NDArray[np.uint8], size: tuple[int, int] | None
) -> tuple[Tensor, Tensor]:
    """Return a picture [C, H, W] and its mask [H, W] as tensors, scaled to `size` if given."""
    image, labels = torch.from_numpy(picture), torch.from_numpy(mask)
    if size is None or tuple(image.shape[1:]) == size:
        return image, labels
    image = F.interpolate(image[None], size=size, mode="bilinear", antialias=True)[0]
    labels = F.interpolate(labels[None, None], size=size, mode="nearest-exact")[0, 0]
    return image.clamp(0, 1), labels


def predicted_mask(
    model: nn.Module, picture: Tensor, phi: float | tuple[float, ...]
) -> NDArray[np.uint8]:
    """Return the most probable label of each pixel.

    Args:
        model: Network from a picture and phi to scores.
        picture: Picture [C, H, W], 0 to 1.
        phi: Rescaling factor.

    Returns:
        Labels [H, W].
    """
    device = next(model.parameters()).device
    with torch.no_grad():
        scores: Tensor = model(picture[None].to(device), phi)[0]
    labels = scores[0] > 0 if len(scores) == 1 else scores.argmax(0)
    found: NDArray[np.uint8] = labels.to(torch.uint8).cpu().numpy()
    return found


def evaluate(
    model: nn.Module,
    data: LabelledPictures,
    phi: float | tuple[float, ...],
    size: tuple[int, int] | None,
) -> Overlap:
    """Return the metrics of a network on the pictures of a data set.

    Args:
        model: Network from a picture and phi to scores.
        data: Labelled pictures.
        phi: Rescaling factor.
        size: Height and width that pictures and masks are scaled to; None keeps them.

    Raises:
        InputError: If a picture or a mask cannot be used.
    """
    counts = []
    for index in range(len(data)):
        picture, mask = sized(*data.read(index), size)
        predicted = predicted_mask(model, picture, phi)
        counts.append(confusion(predicted, mask.numpy(), len(data.labels)))
    return overlap_of(counts, background=data.background)


def coloured(mask: NDArray[np.uint8], labels: int) -> Tensor:
    """Return a picture of a mask: label 0 is black, and pixels without a label are grey.

    Args:
        mask: Labels [H, W].
        labels: Number of labels.

    Returns:
        Picture [3, H, W], 0 to 1.
    """
    angles = 2 * np.pi * _TURN * np.arange(labels)[:, None] + np.array([0, 2, 4]) * np.pi / 3
    table = np.full((256, 3), 0.5, np.float32)
    table[:labels] = 0.5 + 0.5 * np.cos(angles)
    table[0] = 0
    return torch.from_numpy(table[mask]).permute(2, 0, 1)
