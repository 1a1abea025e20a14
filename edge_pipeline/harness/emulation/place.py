"""The folder of the emulated machine in the user's cache, and its manifest."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import AwareDatetime, BaseModel, ConfigDict, PositiveInt, ValidationError

from edge_pipeline.errors import InputError, OutputError
from edge_pipeline.files import cache_folder
from edge_pipeline.harness.devices.requirements import requirements_of

__all__ = ["BACKENDS", "COMMAND", "Prepared", "emulator_folder", "locked", "read_prepared"]

BACKENDS = ("litert", "onnx")
"""Backends whose runtimes run under the emulator."""

COMMAND = "edge-pipeline devices --prepare emulator"
_MANIFEST = "manifest.json"
_FORMAT = 1


class Prepared(BaseModel):
    """Manifest of a prepared machine.

    Attributes:
        format: Version of the folder's layout.
        tree: Name of the folder with the machine's files, beside the manifest.
        python: Path of its interpreter in the tree's `root`.
        requirements: Requirements of the worker that are installed in the tree's `site`.
        qemu: Version of QEMU with which the plugin was tested.
        cores: Number of processors that the machine reports.
        packages: Versions of its Debian packages by name.
        wheels: Versions of its Python packages by name.
        prepared: Time of the preparation.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int = _FORMAT
    tree: str
    python: str
    requirements: tuple[str, ...]
    qemu: str
    cores: PositiveInt
    packages: dict[str, str]
    wheels: dict[str, str]
    prepared: AwareDatetime

    @property
    def folder(self) -> Path:
        """Absolute path of the folder with the machine's files."""
        return emulator_folder() / self.tree

    def write(self) -> None:
        """Make this the prepared machine, atomically."""
        target = emulator_folder() / _MANIFEST
        temporary = target.with_suffix(".new")
        temporary.write_text(self.model_dump_json(indent=2) + "\n", encoding="utf-8")
        temporary.replace(target)


def emulator_folder() -> Path:
    """Return the folder of the emulated machine in the user's cache folder."""
    return cache_folder("emulator")


def read_prepared() -> Prepared:
    """Return the manifest of the prepared machine.

    Raises:
        InputError: If no machine is prepared, or for another version of this package.
    """
    try:
        text = (emulator_folder() / _MANIFEST).read_text(encoding="utf-8")
        found = Prepared.model_validate_json(text)
    except FileNotFoundError as error:
        raise InputError(f"the emulator is not prepared; run: {COMMAND}") from error
    except (OSError, UnicodeDecodeError, ValidationError) as error:
        raise InputError(f"the emulator's manifest cannot be read; run: {COMMAND}") from error
    is_current = found.format == _FORMAT and found.requirements == tuple(requirements_of(*BACKENDS))
    if not is_current or not (found.folder / "root" / found.python).exists():
        raise InputError(f"the emulator was prepared for another version; run: {COMMAND}")
    return found


@contextmanager
def locked(*, exclusive: bool) -> Iterator[None]:
    """Keep others from changing the prepared machine, or also from using it, during the block.

    Raises:
        InputError: If another process prepares the machine, or uses it if `exclusive`.
        OutputError: If the folder cannot be written.
    """
    folder = emulator_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise OutputError(f"cannot write {folder}: {error.strerror}") from error
    try:
        try:
            kind = fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH
            fcntl.flock(lock, kind | fcntl.LOCK_NB)
        except BlockingIOError as error:
            state = "used or prepared" if exclusive else "prepared"
            raise InputError(
                f"the emulator is being {state} by another process; try again when it has ended"
            ) from error
        yield
    finally:
        os.close(lock)
