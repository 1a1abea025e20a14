"""The runner without Python: a static executable, built from `devices/runner`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

__all__ = ["ABIS", "BACKENDS", "executable_folder", "executable_for"]

ABIS = {"arm64-v8a": "aarch64", "x86_64": "x86_64"}
"""Architecture of the executable by Android's name of the ABI."""

BACKENDS = frozenset({"onnx"})
"""Backends whose programs it runs."""


def executable_folder() -> Path:
    """Return the folder into which `python -m tools.build_runner` writes the executables."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "edge_pipeline" / "runner"


def executable_for(abis: Sequence[str]) -> Path | None:
    """Return the executable for the first of the ABIs that has one; None if none is built."""
    for abi in abis:
        if abi in ABIS:
            path = executable_folder() / f"edge_runner-{ABIS[abi]}"
            if path.is_file():
                return path
    return None
