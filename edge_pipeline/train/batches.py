"""The batches of a training in order, prepared ahead of their use."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from edge_pipeline.train.task import Batch, Share, Task

__all__ = ["batches"]

_AHEAD = 2


def batches(task: Task, share: Share, *, first: int, last: int) -> Iterator[Batch]:
    """Yield the batches `first` to `last` - 1, which a thread prepares up to two steps ahead.

    Args:
        task: The task.
        share: Share of each batch that this process computes.
        first: Number of the first batch.
        last: Number of the last batch plus one.
    """
    with ThreadPoolExecutor(max_workers=1) as pool:
        ahead = [
            pool.submit(task.batch, step, share) for step in range(first, min(first + _AHEAD, last))
        ]
        for step in range(first, last):
            batch = ahead.pop(0).result()
            if step + _AHEAD < last:
                ahead.append(pool.submit(task.batch, step + _AHEAD, share))
            yield batch
