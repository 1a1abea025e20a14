"""Current and peak resident memory of this process."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

import psutil

__all__ = ["METHODS", "peak_bytes", "reset_peak", "resident_bytes"]

_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")

METHODS = {
    True: "VmHWM, reset after the runtime was imported",
    False: "ru_maxrss since the process began",
}
"""Description of the method that reads the peak, by whether the peak could be reset."""


def resident_bytes() -> int:
    """Return the resident memory now, in bytes."""
    return int(psutil.Process().memory_info().rss)


def reset_peak() -> bool:
    """Reset the peak to the resident memory now; return whether the system (Linux) can do it."""
    try:
        _CLEAR.write_text("5")
    except OSError:
        return False
    return _STATUS.exists()


def peak_bytes() -> int:
    """Return the peak resident memory since the start of the process or `reset_peak`, in bytes.

    On Linux this is VmHWM. It is not ru_maxrss, because that includes the peak of the process that
    forked this one, even after exec, and cannot be reset.
    """
    if _STATUS.exists():
        for line in _STATUS.read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
