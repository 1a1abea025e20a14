"""Resident memory of this process, and its highest so far."""

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
"""How the peak was read, by whether it could be reset."""


def resident_bytes() -> int:
    """What is resident now."""
    return int(psutil.Process().memory_info().rss)


def reset_peak() -> bool:
    """Make the peak what is resident now; whether the system can do that (Linux can)."""
    try:
        _CLEAR.write_text("5")
    except OSError:
        return False
    return _STATUS.exists()


def peak_bytes() -> int:
    """The highest resident size since the process began, or since `reset_peak`.

    On Linux this is VmHWM and not ru_maxrss: the latter keeps, over exec, the peak of the process
    that forked this one, and knows no reset.
    """
    if _STATUS.exists():
        for line in _STATUS.read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
