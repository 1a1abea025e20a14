"""Files that are either whole or absent: atomic writes, hashes, packaged folders."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from edge_pipeline.errors import OutputError

__all__ = [
    "MANIFEST_FILE",
    "SEAL_FILE",
    "atomic_file",
    "atomic_folder",
    "check_outside_artifacts",
    "packaged",
    "sha256_of",
]

# What an artifact's folder holds, whatever else it does; see `artifact.store`.
MANIFEST_FILE = "manifest.json"
SEAL_FILE = "manifest.sha256"

# How the names of folders end that are being written. They begin with a dot; see `_beside`.
_UNFINISHED = ".unfinished"
_UNFINISHED_NAME = re.compile(rf"\..*-[0-9a-f]{{16}}{re.escape(_UNFINISHED)}", re.DOTALL)

_PACKAGE = Path(__file__).resolve().parent


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_parent(path: Path) -> None:
    """Make a rename last. It is done by now, so a file system that cannot do this is no failure."""
    with suppress(OSError):
        _sync(path.parent)


def _failure(path: Path, temporary: Path, error: OSError) -> OutputError:
    """Says what could not be written, and which other file was in the way if one was."""
    reason = error.strerror or str(error)
    other = None if error.filename is None else Path(os.fsdecode(error.filename))
    if other is not None and other != path and not other.is_relative_to(temporary):
        reason = f"{reason}: {other}"
    return OutputError(f"cannot write {path}: {reason}")


def _absolute(path: Path) -> Path:
    whole = Path(os.path.abspath(path))  # noqa: PTH100 - resolve() would follow a link at the end
    if not whole.name:
        raise OutputError(f"{path} is the root of the file system; give another name")
    return whole


def check_outside_artifacts(path: Path) -> None:
    """Refuse a place inside an artifact, which a file that it does not list would damage.

    Args:
        path: a file or folder to write; links on the way to it are followed.

    Raises:
        OutputError: a folder above it is an artifact.
    """
    for folder in Path(os.path.realpath(path)).parents:
        # Path.exists() raises if a folder may not be searched.
        if all(os.path.exists(folder / name) for name in (MANIFEST_FILE, SEAL_FILE)):  # noqa: PTH110
            raise OutputError(
                f"{path} lies inside the artifact {folder}, which another file would damage; give "
                "a place outside of it"
            )


def _make_parent(path: Path) -> None:
    check_outside_artifacts(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot create the folder {path.parent}: {error.strerror}") from error


def _beside(path: Path, suffix: str = "") -> Path:
    """A new hidden name in the folder of `path`, no longer than file systems allow."""
    return path.with_name(f".{path.stem[:40]}-{secrets.token_hex(8)}{suffix}")


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; move it into place when the block ends well.

    The temporary name keeps the suffix of `path`, since many writers choose a format by it. When
    the block raises, nothing is left and whatever stood at `path` is as it was.

    Args:
        path: the file to write; its folder is created.

    Raises:
        OutputError: the folder cannot be written or is part of an artifact, the disk is full, or a
            folder or a device stands at `path`.
    """
    path = _absolute(path)
    _make_parent(path)
    temporary = _beside(path, path.suffix)
    try:
        if path.exists() and not path.is_file():
            # A rename would put a file in the place of, say, /dev/null.
            raise OutputError(f"{path} is not a file; give another name")
        # Created here, so that a folder that cannot be written is known before the work is done.
        temporary.touch(exist_ok=False)
        mode = temporary.stat().st_mode
        yield temporary
        temporary.chmod(mode)  # some writers (safetensors) make a new file that others cannot read
        _sync(temporary)
        temporary.replace(path)
    except OSError as error:
        raise _failure(path, temporary, error) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
    _sync_parent(path)


@contextmanager
def atomic_folder(path: Path, *, replace: bool) -> Iterator[Path]:
    """Give a temporary folder beside `path`; move it into place when the block ends well.

    When the block raises, nothing is left and whatever stood at `path` is as it was. When the
    process is killed, the temporary folder is left; the next call for the same parent removes it.

    Args:
        path: the folder to create.
        replace: whether a folder that stands there may go.

    Raises:
        OutputError: `path` exists and may not be replaced, or the place cannot be written or is
            inside an artifact.
    """
    path = _absolute(path)
    if os.path.lexists(path) and not replace:
        raise OutputError(f"{path} exists; give --force to replace it, or another name")
    if os.path.lexists(path) and (path.is_symlink() or not path.is_dir()):
        raise OutputError(f"{path} is not a folder; give another name")
    _make_parent(path)
    _collect(path.parent)
    temporary, lock = _locked_folder(path)
    try:
        yield temporary
        for entry in (temporary, *temporary.rglob("*")):
            _sync(entry)
        _swap(temporary, path)
    except OSError as error:
        raise _failure(path, temporary, error) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        os.close(lock)
    _sync_parent(path)


def _locked_folder(path: Path) -> tuple[Path, int]:
    """A new folder beside `path`, and a descriptor that holds it locked while the process lives."""
    try:
        while True:
            temporary = _beside(path, _UNFINISHED)
            temporary.mkdir()
            lock = os.open(temporary, os.O_RDONLY)
            with suppress(OSError):  # a file system without locks; nothing is collected there
                fcntl.flock(lock, fcntl.LOCK_EX)
            if temporary.exists():  # which `_collect` may have removed before it was locked
                return temporary, lock
            os.close(lock)
    except OSError as error:
        raise _failure(path, temporary, error) from error


def _collect(parent: Path) -> None:
    """Remove the unfinished folders of processes that were killed: those that none holds locked."""
    with suppress(OSError):
        for folder in parent.iterdir():
            if _UNFINISHED_NAME.fullmatch(folder.name):
                _remove_unlocked(folder)


def _remove_unlocked(folder: Path) -> None:
    with suppress(OSError):
        lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
        finally:
            os.close(lock)


def _swap(temporary: Path, path: Path) -> None:
    """Rename `temporary` to `path`; a folder there goes, but comes back if that fails."""
    if not os.path.lexists(path):
        temporary.replace(path)
        return
    old = _beside(path)
    path.replace(old)
    try:
        temporary.replace(path)
    except BaseException:
        old.replace(path)
        raise
    try:
        old.replace(temporary)  # a name that is collected if the process is killed from here on
    except OSError:
        shutil.rmtree(old, ignore_errors=True)


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's bytes, as 64 hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as handle:
        while block := handle.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def packaged(folder: str) -> Path:
    """Where a data folder of the project lies, such as `calibration`.

    A wheel carries them inside the package; a checkout has them beside it.

    Args:
        folder: the folder's name, with further parts after a slash.
    """
    inside = _PACKAGE / "_data" / folder
    return inside if inside.exists() else _PACKAGE.parent / folder
