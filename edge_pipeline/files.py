"""Files that are either whole or absent: atomic writes, hashes, safe names, packaged folders."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edge_pipeline.errors import OutputError

__all__ = ["atomic_file", "atomic_folder", "packaged", "safe_name", "sha256_of"]

_PACKAGE = Path(__file__).resolve().parent


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_file(path: Path) -> None:
    with path.open("rb") as handle:
        os.fsync(handle.fileno())


def _make_parent(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot create the folder {path.parent}: {error.strerror}") from error


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; move it into place when the block ends well.

    The temporary name keeps the suffix of `path`, since many writers choose a format by it. When
    the block raises, nothing is left and whatever stood at `path` is as it was.

    Args:
        path: the file to write; its folder is created.

    Raises:
        OutputError: the folder cannot be written, or the disk is full.
    """
    _make_parent(path)
    temporary: Path | None = None
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.stem}-", suffix=path.suffix, dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        yield temporary
        _sync_file(temporary)
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        temporary.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path, *, replace: bool) -> Iterator[Path]:
    """Give a temporary folder beside `path`; move it into place when the block ends well.

    Args:
        path: the folder to create.
        replace: whether a folder that stands there may go.

    Raises:
        OutputError: `path` exists and may not be replaced, or the place cannot be written.
    """
    if path.exists() and not replace:
        raise OutputError(f"{path} exists; give --force to replace it, or another name")
    if path.exists() and not path.is_dir():
        raise OutputError(f"{path} is a file, not a folder; give another name")
    _make_parent(path)
    try:
        temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror}") from error
    try:
        yield temporary
        for file in temporary.rglob("*"):
            if file.is_file():
                _sync_file(file)
        temporary.chmod(0o755)
        if path.exists():
            old = Path(tempfile.mkdtemp(prefix=f".{path.name}-old-", dir=path.parent))
            path.replace(old / path.name)
            temporary.replace(path)
            shutil.rmtree(old)
        else:
            temporary.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's bytes, as 64 hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as handle:
        while block := handle.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def safe_name(text: str) -> str:
    """`text` with everything but letters, digits, dot, dash and underscore made an underscore."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", text).strip("._") or "unnamed"


def packaged(folder: str) -> Path:
    """Where a data folder of the project lies: `calibration`, `devices` or `pretrained`.

    A wheel carries them inside the package; a checkout has them beside it.

    Args:
        folder: the folder's name, with further parts after a slash.
    """
    inside = _PACKAGE / "_data" / folder
    return inside if inside.exists() else _PACKAGE.parent / folder
