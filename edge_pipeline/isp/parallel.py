"""Compute items at once, or ahead of their use, and yield results in order."""

from __future__ import annotations

import queue
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar, cast

__all__ = ["ahead", "in_order"]

Resource = TypeVar("Resource")
Item = TypeVar("Item")
Result = TypeVar("Result")


def ahead(items: Iterable[Item]) -> Iterator[Item]:
    """Yield items; the next one is computed in another thread while the caller uses one.

    If the caller stops early, the item in progress is computed before this generator ends.

    Raises:
        Exception: The error of `items`.
    """
    iterator = iter(items)
    end = object()
    pool = ThreadPoolExecutor(1, thread_name_prefix="ahead")
    try:
        coming: Future[Item | object] = pool.submit(next, iterator, end)
        while (item := coming.result()) is not end:
            coming = pool.submit(next, iterator, end)
            yield cast(Item, item)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def in_order(
    compute: Callable[[Resource, Item], Result],
    resources: Sequence[Resource],
    items: Iterable[Item],
) -> Iterator[Result]:
    """Yield the results for items, in their order, while the next ones are computed.

    Args:
        compute: Function that computes a result; it runs in as many threads as there are resources.
        resources: Resources, each used by one thread at a time. With a single one, no thread is
            started, and an item is computed when its result is requested.
        items: Items; at most one more than there are resources is in progress or waits to be
            yielded.

    Raises:
        Exception: The first error of `compute`, in the order of the items. Items that were not
            begun are dropped, also if the caller stops early.
    """
    if len(resources) == 1:
        yield from (compute(resources[0], item) for item in items)
        return
    idle: queue.SimpleQueue[Resource] = queue.SimpleQueue()
    for resource in resources:
        idle.put(resource)

    def one(item: Item) -> Result:
        resource = idle.get()
        try:
            return compute(resource, item)
        finally:
            idle.put(resource)

    pending: deque[Future[Result]] = deque()
    pool = ThreadPoolExecutor(len(resources), thread_name_prefix="tile")
    try:
        for item in items:
            pending.append(pool.submit(one, item))
            if len(pending) > len(resources):
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
