"""The runner without Python: a static executable, built from `devices/runner`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

__all__ = ["ABIS", "BACKENDS", "abi_of", "executable_folder", "executable_for"]

ABIS = {"arm64-v8a": "aarch64", "x86_64": "x86_64"}
"""Architecture of the executable by Android's name of the ABI."""

BACKENDS = frozenset({"onnx"})
"""Backends whose programs it runs."""


# Numbers of e_machine in the header of an ELF file (System V ABI, chapter 4).
_MACHINES = {3: "x86", 40: "armeabi-v7a", 62: "x86_64", 183: "arm64-v8a"}


def abi_of(path: Path) -> str | None:
    """Return Android's name of the ABI of an executable; None if it is no known ELF file."""
    with path.open("rb") as file:
        header = file.read(20)
    if header[:4] != b"\x7fELF" or len(header) < 20:
        return None
    return _MACHINES.get(int.from_bytes(header[18:20], "little"))


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
