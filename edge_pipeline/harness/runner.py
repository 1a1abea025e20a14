"""The place of `edge_runner`, the executable that runs ONNX programs on devices without Python.

Its source is in `devices/runner/`; `make runner` builds it into the user's cache folder.
"""

from __future__ import annotations

import os
from pathlib import Path

from edge_pipeline.errors import InputError

__all__ = ["cached_runner", "find_runner"]

# The first bytes of a 64-bit little endian ELF file, and its field `e_machine` for AArch64.
_ELF, _MACHINE_AT, _AARCH64 = b"\x7fELF\x02\x01", 18, b"\xb7\x00"


def cached_runner() -> Path:
    """Return the path into which `make runner` writes the executable; it may not exist."""
    cache = os.environ.get("XDG_CACHE_HOME")
    folder = (Path(cache) if cache else Path.home() / ".cache") / "edge-pipeline" / "runner"
    return folder / "edge_runner-aarch64"


def find_runner(path: Path | None = None) -> Path:
    """Return the path of an executable for AArch64.

    Args:
        path: The user's choice (`--runner`); None for the one in the cache folder.

    Raises:
        InputError: If there is no such file, or if it is not an executable for AArch64.
    """
    runner = cached_runner() if path is None else path
    try:
        with runner.open("rb") as file:
            head = file.read(_MACHINE_AT + len(_AARCH64))
    except OSError as error:
        reason = error.strerror or "it cannot be read"
        hint = "run `make runner` in a checkout, or give a path" if path is None else "give another"
        raise InputError(f"cannot use {runner} as the runner: {reason}; {hint}") from error
    if not head.startswith(_ELF) or head[_MACHINE_AT:] != _AARCH64:
        raise InputError(f"{runner} is not an executable for 64-bit Arm (AArch64) Linux")
    return runner
