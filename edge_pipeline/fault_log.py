"""The file for the details of unexpected errors, which messages do not contain."""

from __future__ import annotations

import functools
import os
import tempfile
import threading
from pathlib import Path

__all__ = ["bug_report", "keep_details"]

_LOCK = threading.Lock()


@functools.cache
def _file() -> Path:
    """Create and return the file of this process, in the folder for temporary files."""
    handle, name = tempfile.mkstemp(prefix="edge-pipeline-error-", suffix=".txt")
    os.close(handle)
    return Path(name)


def keep_details(details: str) -> Path | None:
    """Append the details of an error to the file of this process.

    Args:
        details: Traceback or other text for the developers of this program.

    Returns:
        The path of the file; None if it cannot be written.
    """
    try:
        with _LOCK, _file().open("a", encoding="utf-8", errors="backslashreplace") as file:
            file.write(details.rstrip() + "\n\n")
    except OSError:
        return None
    return _file()


def bug_report(details: str) -> str:
    """Write the details of an error to the file; return a clause that names the file.

    Args:
        details: Traceback or other text for the developers of this program.
    """
    file = keep_details(details)
    where = f"see {file}" if file else "set TMPDIR to a folder with space to see its details"
    return f"a bug in this program; {where}"
