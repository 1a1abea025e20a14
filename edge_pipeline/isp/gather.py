"""Find the captures in folders."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from edge_pipeline.errors import CaptureError

__all__ = ["HEADERLESS_SUFFIXES", "RAW_SUFFIXES", "Found", "Gathered", "gather"]

# Suffixes of the formats that LibRaw reads, except those that are also pictures (.tif, .jpg) or
# videos (.ari, .cine). Source: LibRaw, supported cameras; KDE libkdcraw, rawfiles.h.
_SUFFIXES = """
    .3fr .arw .bay .bmq .cap .cr2 .cr3 .crw .cs1 .dc2 .dcr .dcs .dng .drf .erf .fff .gpr .ia .iiq
    .k25 .kc2 .kdc .mdc .mef .mos .mrw .nef .nrw .orf .ori .pef .ptx .pxn .qtk .raf .raw .rdc .rw2
    .rwl .rwz .sr2 .srf .srw .sti .x3f
"""
RAW_SUFFIXES = frozenset(_SUFFIXES.split())
# Suffixes of files whose contents options or a profile describe.
HEADERLESS_SUFFIXES = frozenset({".raw"})


class Found(NamedTuple):
    """A capture, and the folder of its picture below the output folder."""

    path: Path
    folder: Path = Path()


@dataclass(frozen=True)
class Gathered:
    """Captures to develop.

    Attributes:
        captures: Captures, in the order of the inputs; those of a folder are sorted.
        unreadable: Errors of the folders that could not be read.
        from_folder: Whether an input was a folder.
    """

    captures: list[Found] = field(default_factory=list)
    unreadable: list[CaptureError] = field(default_factory=list)
    from_folder: bool = False


def gather(inputs: Sequence[Path], output: Path | None, *, headerless: bool = False) -> Gathered:
    """Return the captures among files and in folders.

    A file is included whatever its name is. A folder and its sub-folders are searched for files
    with the suffix of a capture, in upper or lower case. Names that begin with a dot are ignored.
    Links to folders are followed, but each folder is searched only once. The output folder, if it
    lies below an input folder, is not searched.

    Args:
        inputs: Paths of files and folders.
        output: Path of the output folder; None if there is none.
        headerless: Whether options or a profile describe the captures; then only files with
            `HEADERLESS_SUFFIXES` are included from folders.

    Raises:
        CaptureError: If a folder could be read and contains no capture, or if there is no capture
            at all.
    """
    found = Gathered(from_folder=any(map(_is_folder, inputs)))
    suffixes = HEADERLESS_SUFFIXES if headerless else RAW_SUFFIXES
    for path in inputs:
        if not _is_folder(path):
            found.captures.append(Found(path))
            continue
        before = len(found.captures), len(found.unreadable)
        walk = _Walk(output, found.unreadable)
        for file in walk.files(path):
            if file.suffix.lower() in suffixes:
                found.captures.append(Found(file, file.parent.relative_to(path)))
        if before == (len(found.captures), len(found.unreadable)):
            kind = "headerless file (.raw)" if headerless else "RAW file, by the suffix of its name"
            raise CaptureError(f"{path} has no {kind}; give another folder, or the files")
    if found.unreadable and not found.captures:
        raise found.unreadable[0]
    return found


class _Walk:
    """Lists the files of a folder and its sub-folders, each folder once."""

    def __init__(self, output: Path | None, unreadable: list[CaptureError]) -> None:
        self._unreadable = unreadable
        self._seen: set[tuple[int, int]] = set()
        self._output = None if output is None or not _is_folder(output) else _identity(output)

    def files(self, top: Path) -> Iterator[Path]:
        """Yield the files below a folder, which may itself be the output folder."""
        waiting = [top]
        links: list[Path] = []
        # Links come last, so that a file that is found in two ways has the path without the link.
        while waiting or links:
            folder = waiting.pop() if waiting else links.pop(0)
            try:
                identity = _identity(folder)
                if identity in self._seen or (identity == self._output and folder != top):
                    continue
                self._seen.add(identity)
                with os.scandir(folder) as listing:
                    entries = sorted(listing, key=lambda entry: entry.name)
            except OSError as error:
                self._refuse(folder, error)
                continue
            shown = [entry for entry in entries if not entry.name.startswith(".")]
            yield from (folder / entry.name for entry in shown if not _is_folder(entry))
            folders = [entry for entry in shown if _is_folder(entry)]
            links += [folder / entry.name for entry in folders if entry.is_symlink()]
            waiting += [folder / e.name for e in reversed(folders) if not e.is_symlink()]

    def _refuse(self, folder: Path, error: OSError) -> None:
        reason = (error.strerror or "it cannot be listed").lower()
        self._unreadable.append(
            CaptureError(f"the folder {folder} cannot be read: {reason}; check its permissions")
        )


def _identity(folder: Path) -> tuple[int, int]:
    status = folder.stat()
    return status.st_dev, status.st_ino


def _is_folder(path: Path | os.DirEntry[str]) -> bool:
    """Return whether a path is a folder; if the system refuses the path, it is not.

    Every other path is treated as a file, and developing it reports the fault.
    """
    try:
        return path.is_dir()
    except OSError:
        return False
