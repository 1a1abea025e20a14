"""The batches of a training in order, prepared ahead of their use."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

from edge_pipeline.train.task import Batch, Share, Task

__all__ = ["batches"]

_AHEAD = 2


@contextmanager
def batches(task: Task, share: Share, *, first: int, last: int) -> Iterator[Iterator[Batch]]:
    """Prepare the batches `first` to `last` - 1 in a thread, up to two steps ahead.

    At the end of the block, batches that have not been begun are dropped.

    Args:
        task: The task.
        share: Share of each batch that this process computes.
        first: Number of the first batch.
        last: Number of the last batch plus one.

    Yields:
        The batches in order; the iterator raises the error of a batch that cannot be prepared.
    """
    with ThreadPoolExecutor(max_workers=1) as pool:
        try:
            yield _in_order(pool, task, share, range(first, last))
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _in_order(
    pool: ThreadPoolExecutor, task: Task, share: Share, numbers: range
) -> Iterator[Batch]:
    ahead: deque[Future[Batch]] = deque()
    for position in range(len(numbers)):
        while len(ahead) < _AHEAD and position + len(ahead) < len(numbers):
            ahead.append(pool.submit(task.batch, numbers[position + len(ahead)], share))
        yield ahead.popleft().result()
