"""Delay Ctrl-C to a point at which the training state is consistent."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["interrupt_between_steps"]


@contextmanager
def interrupt_between_steps() -> Iterator[Callable[[], None]]:
    """Delay SIGINT inside the block until the yielded function is called.

    Weights, their average, Adam's moments and the step belong together. An interrupt between two of
    their updates would save an inconsistent state. Outside the main thread, to which Python does
    not deliver signals, signal handling does not change.

    Yields:
        A function that raises KeyboardInterrupt if SIGINT arrived since the block began.
    """
    asked = threading.Event()

    def check() -> None:
        if asked.is_set():
            raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield check
        return
    before = signal.signal(signal.SIGINT, lambda *_: asked.set())
    try:
        yield check
    finally:
        signal.signal(signal.SIGINT, before)
