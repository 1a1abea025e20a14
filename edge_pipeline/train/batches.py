"""Batches of synthetic captures; batch k is a function of the seed and k alone."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from edge_pipeline.data.pictures import Mixture
from edge_pipeline.data.raw_synthesis import Sample, augment, draw_shot, synthesise

__all__ = ["Batch", "batches", "make_batch", "stack"]


class Batch(NamedTuple):
    """Synthetic captures and their targets.

    Attributes:
        packed: [N, 4, h, w].
        target: [N, 3, 2h, 2w], linear camera RGB.
        camera_to_srgb: [N, 3, 3].
    """

    packed: Tensor
    target: Tensor
    camera_to_srgb: Tensor


def stack(samples: list[Sample]) -> Batch:
    """Samples of one size as a batch."""
    return Batch(
        *(
            torch.from_numpy(np.stack([getattr(sample, field) for sample in samples]))
            for field in Batch._fields
        )
    )


def make_batch(pictures: Mixture, *, size: int, crop: int, seed: int, step: int) -> Batch:
    """Batch `step` of a training.

    Args:
        pictures: to take crops of.
        size: samples in the batch.
        crop: side of a crop in packed pixels.
        seed: of the training.
        step: number of the batch; the same number gives the same batch, so that a resumed
            training goes on as if it had not stopped.
    """
    rng = np.random.default_rng([seed, step])
    samples = []
    for _ in range(size):
        picture = augment(pictures.draw(rng), 2 * crop, rng)
        samples.append(synthesise(picture, draw_shot(rng), rng))
    return stack(samples)


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
