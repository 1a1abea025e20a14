"""Atomic writes of files and folders, hashes of files, and paths of packaged data."""

from __future__ import annotations

import errno
import fcntl
import functools
import hashlib
import os
import re
import secrets
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from edge_pipeline.errors import EdgePipelineError, JobError, OutputError

__all__ = [
    "MANIFEST_FILE",
    "SEAL_FILE",
    "atomic_file",
    "atomic_folder",
    "cache_folder",
    "check_outside_artifacts",
    "disk_failed",
    "packaged",
    "remove_unfinished",
    "sha256_of",
]

# Files that every artifact's folder contains; see `artifact.store`.
MANIFEST_FILE = "manifest.json"
SEAL_FILE = "manifest.sha256"

# A temporary name has this many characters of the stem, since file systems limit its length.
_STEM = 40

# Suffix of the names of folders that are being written. The names begin with a dot; see `_beside`.
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
    """Call fsync on the folder of `path`, so that a rename is durable; ignore errors.

    The rename itself has succeeded, so a file system without fsync on folders is not a failure.
    """
    with suppress(OSError):
        _sync(path.parent)


# The disk is full, the quota or the limit on a file's size is reached, or the device fails.
_DISK_FAILURES = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})


def disk_failed(error: OSError) -> bool:
    """Return whether a write failed because of the disk, not because of the path.

    An error without a number is that of an encoder whose write failed.
    """
    return error.errno is None or error.errno in _DISK_FAILURES


def _failure(path: Path, temporary: Path, error: OSError) -> EdgePipelineError:
    """Return an error that names `path`, and also the file that caused it if that is another.

    The error is a JobError if the disk failed, otherwise an OutputError.
    """
    reason = error.strerror or "writing failed; the disk may be full"
    other = None if error.filename is None else Path(os.fsdecode(error.filename))
    if other is not None and other != path and not other.is_relative_to(temporary):
        reason = f"{reason}: {other}"
    kind = JobError if disk_failed(error) else OutputError
    return kind(f"cannot write {path}: {reason}")


def _absolute(path: Path) -> Path:
    whole = Path(os.path.abspath(path))  # noqa: PTH100 - resolve() would follow a link at the end
    if not whole.name:
        raise OutputError(f"{path} is the root of the file system; give another name")
    return whole


def check_outside_artifacts(path: Path) -> None:
    """Raise an error if `path` lies inside an artifact, which an unlisted file would damage.

    Args:
        path: File or folder to write; symbolic links in the path are followed.

    Raises:
        OutputError: If a parent folder of `path` is an artifact.
    """
    for folder in Path(os.path.realpath(path)).parents:
        # Path.exists() raises if the process may not search a folder.
        if all(os.path.exists(folder / name) for name in (MANIFEST_FILE, SEAL_FILE)):  # noqa: PTH110
            raise OutputError(
                f"{path} lies inside the artifact {folder}, which another file would damage; give "
                "a path outside it"
            )


def _make_parent(path: Path) -> None:
    check_outside_artifacts(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        kind = JobError if disk_failed(error) else OutputError
        raise kind(f"cannot create the folder {path.parent}: {error.strerror}") from error


def _beside(path: Path, suffix: str = "") -> Path:
    """Return a new hidden path in the folder of `path`, with a name that file systems allow."""
    return path.with_name(f".{path.stem[:_STEM]}-{secrets.token_hex(8)}{suffix}")


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path near `path`, and rename it to `path` if the block succeeds.

    The temporary file is in a hidden folder beside `path` and has the same name, because many
    writers choose a format by the suffix. If the block raises, the folder is removed and `path`
    stays unchanged. If the process is killed, the folder remains; the next process that writes a
    file into the same folder removes it.

    Args:
        path: File to write; its folder is created.

    Raises:
        JobError: If the disk is full or fails.
        OutputError: If the folder cannot be written or is part of an artifact, or `path` is a
            folder or a device.
    """
    path = _absolute(path)
    _make_parent(path)
    try:
        if path.exists() and not path.is_file():
            # A rename would replace a device such as /dev/null with a file.
            raise OutputError(f"{path} is not a file; give another name")
    except OSError as error:
        raise _failure(path, path, error) from error
    _collect_once(path.parent)
    folder, lock = _locked_folder(path)
    temporary = folder / path.name
    try:
        # Created now, so that a folder that cannot be written is detected before the work is done.
        temporary.touch(exist_ok=False)
        mode = temporary.stat().st_mode
        yield temporary
        temporary.chmod(mode)  # some writers (safetensors) make files that only the owner can read
        _sync(temporary)
        temporary.replace(path)
    except OSError as error:
        raise _failure(path, folder, error) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)
    _sync_parent(path)


def remove_unfinished(folders: Iterable[Path]) -> None:
    """Remove what `atomic_file` and `atomic_folder` left in folders in processes that were killed.

    Args:
        folders: Folders; the unfinished files of running processes in them are kept.
    """
    for folder in folders:
        _collect(folder)


@contextmanager
def atomic_folder(path: Path, *, replace: bool) -> Iterator[Path]:
    """Yield a temporary folder beside `path`, and rename it to `path` if the block succeeds.

    If the block raises, the temporary folder is removed and `path` stays unchanged. If the process
    is killed, the temporary folder remains; the next call for the same parent folder removes it.

    Args:
        path: Folder to create.
        replace: Whether an existing folder at `path` may be replaced.

    Raises:
        JobError: If the disk is full or fails.
        OutputError: If `path` exists and may not be replaced, cannot be written, or lies inside an
            artifact.
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
    """Create a folder beside `path`; return it and a descriptor that locks it until closed."""
    try:
        while True:
            temporary = _beside(path, _UNFINISHED)
            temporary.mkdir()
            lock = os.open(temporary, os.O_RDONLY)
            with suppress(OSError):  # a file system without locks; `_collect` removes nothing there
                fcntl.flock(lock, fcntl.LOCK_EX)
            if temporary.exists():  # `_collect` may have removed it before it was locked
                return temporary, lock
            os.close(lock)
    except OSError as error:
        raise _failure(path, temporary, error) from error


@functools.cache
def _collect_once(parent: Path) -> None:
    """Call `_collect`, once for each folder, because a batch writes many files into one folder."""
    _collect(parent)


def _collect(parent: Path) -> None:
    """Remove the unfinished folders that killed processes left: those that no process locks."""
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
    """Rename `temporary` to `path`; replace a folder there, but restore it if the rename fails."""
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
        old.replace(temporary)  # `_collect` removes this name if the process is killed from here on
    except OSError:
        shutil.rmtree(old, ignore_errors=True)


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's bytes as 64 hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as handle:
        while block := handle.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def cache_folder(name: str) -> Path:
    """Return a folder of the user's cache, `XDG_CACHE_HOME` or ~/.cache; it may not exist."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "edge-pipeline" / name


def packaged(folder: str) -> Path:
    """Return the path of a data folder of the project, such as `calibration`.

    A wheel contains these folders inside the package; in a checkout they are beside the package.

    Args:
        folder: Name of the folder, or a path that begins with it, such as `calibration/cameras`.
    """
    inside = _PACKAGE / "_data" / folder
    return inside if inside.exists() else _PACKAGE.parent / folder
