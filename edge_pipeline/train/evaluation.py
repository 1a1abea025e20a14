"""Masks that a segmenter predicts, and their metrics on a data set."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from numpy.typing import NDArray
from torch import Tensor, nn

from edge_pipeline.data.labelled import LabelledPictures
from edge_pipeline.overlap import Overlap, confusion, overlap_of

__all__ = [
    "SizedPictures",
    "coloured",
    "counts_of",
    "evaluate",
    "outputs_for",
    "predicted_mask",
    "sized",
]

# Colours of the labels, as multiples of the golden angle around the colour circle.
_TURN = 0.61803398875
# Pictures and masks that are kept in memory.
_CACHED_BYTES = 1 << 30


class SizedPictures:
    """Labelled pictures of one size; those that were read are kept in memory, up to a limit.

    Args:
        data: Labelled pictures.
        size: Height and width that pictures and masks are scaled to; None keeps them.

    Attributes:
        data: The labelled pictures.
    """

    def __init__(self, data: LabelledPictures, size: tuple[int, int] | None) -> None:
        self.data, self._size = data, size
        self._cache: dict[int, tuple[Tensor, Tensor]] = {}
        self._cached = 0

    def __len__(self) -> int:
        return len(self.data)

    def read(self, index: int) -> tuple[Tensor, Tensor]:
        """Return a picture [C, H, W], 0 to 1, and its mask [H, W], uint8.

        Raises:
            InputError: If the picture or the mask cannot be used.
        """
        if index in self._cache:
            return self._cache[index]
        read = sized(*self.data.read(index), self._size)
        needed = sum(part.element_size() * part.numel() for part in read)
        if self._cached + needed <= _CACHED_BYTES:
            self._cache[index], self._cached = read, self._cached + needed
        return read


def outputs_for(data: LabelledPictures) -> tuple[int, ...]:
    """Return the numbers of outputs that a network for a data set may have.

    A network for foreground against background has one or two.
    """
    labels = len(data.labels)
    return (1, 2) if labels == 2 else (labels,)


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


def counts_of(
    model: nn.Module,
    pictures: SizedPictures,
    phi: float | tuple[float, ...],
    on_picture: Callable[[int], None] = lambda _index: None,
) -> list[NDArray[np.int64]]:
    """Return the counts of each picture, [labels, labels]; the first axis is the true label.

    Args:
        model: Network from a picture and phi to scores.
        pictures: Labelled pictures.
        phi: Rescaling factor.
        on_picture: Function that is called with the position of each picture before it is
            evaluated.

    Raises:
        InputError: If a picture or a mask cannot be used.
    """
    found = []
    for index in range(len(pictures)):
        on_picture(index)
        picture, mask = pictures.read(index)
        predicted = predicted_mask(model, picture, phi)
        found.append(confusion(predicted, mask.numpy(), len(pictures.data.labels)))
    return found


def evaluate(model: nn.Module, pictures: SizedPictures, phi: float | tuple[float, ...]) -> Overlap:
    """Return the metrics of a network on labelled pictures.

    Args:
        model: Network from a picture and phi to scores.
        pictures: Labelled pictures.
        phi: Rescaling factor.

    Raises:
        InputError: If a picture or a mask cannot be used.
    """
    return overlap_of(counts_of(model, pictures, phi), background=pictures.data.background)


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
