"""Ctrl-C that waits for a moment when nothing is half done."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["interrupt_between_steps"]


@contextmanager
def interrupt_between_steps() -> Iterator[Callable[[], None]]:
    """Hold SIGINT back inside the block until the function that it gives is called.

    Weights, their average, Adam's moments and the step belong together; an interrupt between two
    of them would save a state that no training has. Outside the main thread, where Python delivers
    no signals, nothing changes.

    Yields:
        Raises KeyboardInterrupt if SIGINT came since the block began.
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
