"""The place of `edge_runner`, the executable that runs ONNX programs on devices without Python.

Its source is in `devices/runner/`; `make runner` builds it into the user's cache folder.
"""

from __future__ import annotations

from pathlib import Path

from edge_pipeline.errors import InputError
from edge_pipeline.files import cache_folder

__all__ = ["RUNNER_BACKENDS", "abi_of", "cached_runner", "find_runner"]

RUNNER_BACKENDS = frozenset({"onnx"})
"""Backends whose programs the executable runs."""

_ELF, _MACHINE_AT = b"\x7fELF", 18
# Numbers of e_machine in the header of an ELF file (System V ABI, chapter 4).
_ABIS = {3: "x86", 40: "armeabi-v7a", 62: "x86_64", 183: "arm64-v8a"}


def abi_of(path: Path) -> str | None:
    """Return Android's name of the ABI of an executable; None if it is no known ELF file."""
    with path.open("rb") as file:
        head = file.read(_MACHINE_AT + 2)
    if not head.startswith(_ELF) or len(head) < _MACHINE_AT + 2:
        return None
    return _ABIS.get(int.from_bytes(head[_MACHINE_AT:], "little"))


def cached_runner() -> Path:
    """Return the path into which `make runner` writes the executable; it may not exist."""
    return cache_folder("runner") / "edge_runner-aarch64"


def find_runner(path: Path | None = None) -> Path:
    """Return the path of an executable for AArch64.

    Args:
        path: The user's choice (`--runner`); None for the one in the cache folder.

    Raises:
        InputError: If there is no such file, or if it is not an executable for AArch64.
    """
    runner = cached_runner() if path is None else path
    try:
        abi = abi_of(runner)
    except OSError as error:
        reason = error.strerror or "it cannot be read"
        hint = "run `make runner` in a checkout, or give a path" if path is None else "give another"
        raise InputError(f"cannot use {runner} as the runner: {reason}; {hint}") from error
    if abi != "arm64-v8a":
        raise InputError(f"{runner} is not an executable for 64-bit Arm (AArch64) Linux")
    return runner
