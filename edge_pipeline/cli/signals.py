"""Signals that end the program, with the same cleanup as after an error."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

__all__ = ["ending_signals_exit"]

# A shell adds the signal's number to 128 for the exit code of a program that a signal ended.
_BASE = 128
_SIGNALS = (signal.SIGTERM, signal.SIGHUP)


def _exit(number: int, _frame: FrameType | None) -> NoReturn:
    for each in _SIGNALS:  # a second one would stop the cleanup
        signal.signal(each, signal.SIG_IGN)
    raise SystemExit(_BASE + number)


@contextmanager
def ending_signals_exit() -> Iterator[None]:
    """Raise SystemExit during the block when a signal asks the program to end.

    The exit code is 143 for SIGTERM and 129 for SIGHUP. A signal that is ignored (`nohup`) or
    has a handler is unchanged. Outside the main thread, nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    changed = [each for each in _SIGNALS if signal.getsignal(each) is signal.SIG_DFL]
    for each in changed:
        signal.signal(each, _exit)
    try:
        yield
    finally:
        for each in changed:
            signal.signal(each, signal.SIG_DFL)
