"""Delay Ctrl-C to a point at which the training state is consistent."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["delayed_interrupt"]


@contextmanager
def delayed_interrupt() -> Iterator[Callable[[], bool]]:
    """Delay SIGINT inside the block; the training asks between its steps whether it arrived.

    Weights, their average, Adam's moments and the step belong together. An interrupt between two of
    their updates would save an inconsistent state. Outside the main thread, to which Python does
    not deliver signals, signal handling does not change.

    Yields:
        A function that returns whether SIGINT arrived since the block began.
    """
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked.is_set
        return
    before = signal.signal(signal.SIGINT, lambda *_: asked.set())
    try:
        yield asked.is_set
    finally:
        signal.signal(signal.SIGINT, before)
