"""Batches, each of one synthetic capture; batch k is a function of the seed and k alone."""

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
        packed: [N, 4, h, w].
        target: [N, 3, 2h, 2w], linear camera RGB.
        camera_to_srgb: [3, 3].
        push: scalar, the factor with which pictures are judged.
    """

    packed: Tensor
    target: Tensor
    camera_to_srgb: Tensor
    push: Tensor


def make_batch(pictures: Mixture, *, size: int, crop: int, seed: int, step: int) -> Batch:
    """Batch `step` of a training.

    Args:
        pictures: to take crops of.
        size: samples in the batch.
        crop: side of a crop in packed pixels.
        seed: of the training.
        step: number of the batch; the same number gives the same batch, so that a resumed
            training continues as if it had not stopped.
    """
    rng = np.random.default_rng([seed, step])
    packed, target, conditions = synthesise_crops(pictures, count=size, size=2 * crop, rng=rng)
    matrix = torch.from_numpy(conditions.camera_to_srgb).float()
    return Batch(packed, target, matrix, torch.tensor(conditions.push))


def batches(
    pictures: Mixture, *, size: int, crop: int, seed: int, first: int, last: int
) -> Iterator[Batch]:
    """Batches `first` to `last` - 1, made ahead in a thread while the one before is trained on.

    Args:
        pictures: to take crops of.
        size: samples in a batch.
        crop: side of a crop in packed pixels.
        seed: of the training.
        first: number of the first batch.
        last: one past the number of the last.
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
