"""Training batches, each of one synthetic capture; a batch depends only on its number and seed."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from edge_pipeline.data.capture_synthesis import synthesise_crops
from edge_pipeline.data.pictures import Mixture

__all__ = ["Batch", "batches", "make_batch"]


class Batch(NamedTuple):
    """Crops of one synthetic capture, and their targets.

    Attributes:
        packed: Packed crops of the capture, [N, 4, h, w].
        target: Linear camera RGB of the crops, [N, 3, 2h, 2w].
        camera_to_srgb: Colour matrix [3, 3].
        push: Factor on the picture when the loss is computed, a scalar.
    """

    packed: Tensor
    target: Tensor
    camera_to_srgb: Tensor
    push: Tensor


def make_batch(pictures: Mixture, *, size: int, crop: int, seed: int, step: int) -> Batch:
    """Return the batch of one training step.

    Args:
        pictures: Pictures to crop.
        size: Number of samples in the batch.
        crop: Side of a crop in packed pixels.
        seed: Seed of the training.
        step: Number of the batch. Equal numbers produce equal batches, so a resumed training
            continues as if it had not stopped.
    """
    rng = np.random.default_rng([seed, step])
    packed, target, conditions = synthesise_crops(pictures, count=size, size=2 * crop, rng=rng)
    matrix = torch.from_numpy(conditions.camera_to_srgb).float()
    return Batch(packed, target, matrix, torch.tensor(conditions.push))


def batches(
    pictures: Mixture, *, size: int, crop: int, seed: int, first: int, last: int
) -> Iterator[Batch]:
    """Yield the batches `first` to `last` - 1, which a thread prepares up to two steps ahead.

    Args:
        pictures: Pictures to crop.
        size: Number of samples in a batch.
        crop: Side of a crop in packed pixels.
        seed: Seed of the training.
        first: Number of the first batch.
        last: Number of the last batch plus one.
    """

    def make(step: int) -> Batch:
        return make_batch(pictures, size=size, crop=crop, seed=seed, step=step)

    with ThreadPoolExecutor(max_workers=1) as pool:
        ahead = [pool.submit(make, step) for step in range(first, min(first + 2, last))]
        for step in range(first, last):
            batch = ahead.pop(0).result()
            if step + 2 < last:
                ahead.append(pool.submit(make, step + 2))
            yield batch
