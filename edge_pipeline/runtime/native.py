"""Suppression of the log lines that native libraries write directly to file descriptor 2."""

from __future__ import annotations

import contextlib
import os
import re
import sys
import tempfile
import threading
from collections.abc import Iterator

__all__ = ["native_silence"]

_STDERR = 2
_LOCK = threading.RLock()
# Log lines of TensorFlow Lite, and of absl, which its converter uses.
_NATIVE = re.compile(rb"(VERBOSE|INFO|WARNING|ERROR): |[IWEF][0-9]{4} [0-9: .]+ ")


@contextlib.contextmanager
def native_silence() -> Iterator[list[str]]:
    """Collect the lines that TensorFlow Lite logs, and forward all other output to stderr.

    Its logger writes to file descriptor 2, and its Python package has no function to set the log
    level. The whole process shares the descriptor, so output of other threads is forwarded only
    when the block ends.

    Yields:
        A list, to which the lines are added when the block ends.
    """
    heard: list[str] = []
    with _LOCK, contextlib.ExitStack() as stack:
        try:
            beyond = os.dup(_STDERR)
        except OSError:  # there is no standard error
            yield heard
            return
        stack.callback(os.close, beyond)
        kept = stack.enter_context(tempfile.TemporaryFile())
        _flush()
        os.dup2(kept.fileno(), _STDERR)
        try:
            yield heard
        finally:
            _flush()
            os.dup2(beyond, _STDERR)
            kept.seek(0)
            for line in kept.read().splitlines(keepends=True):
                if _NATIVE.match(line):
                    heard.append(line.decode(errors="replace").strip())
                else:
                    os.write(beyond, line)


def _flush() -> None:
    if sys.stderr is not None:
        with contextlib.suppress(OSError, ValueError):  # closed
            sys.stderr.flush()
