"""Find input files among files and in folders, and check the names of their outputs."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from edge_pipeline.errors import InputError, OutputError

__all__ = ["Found", "Gathered", "Kind", "gather", "refuse_clashes", "refuse_to_replace"]


class Found(NamedTuple):
    """A file, and the folder of its output below the output folder."""

    path: Path
    folder: Path = Path()


@dataclass(frozen=True)
class Kind:
    """The files that are taken from folders.

    Attributes:
        suffixes: Suffixes of their names, in lower case, with the dot.
        words: Their description in messages, which follows "has no".
        error: Class of the errors.
        ignored: Endings of names that are not taken, in lower case.
    """

    suffixes: Collection[str]
    words: str
    error: type[InputError] = InputError
    ignored: tuple[str, ...] = ()

    def takes(self, path: Path) -> bool:
        """Return whether a file of a folder is taken; the case of its name is ignored."""
        name = path.name.lower()
        return path.suffix.lower() in self.suffixes and not name.endswith(self.ignored)


@dataclass(frozen=True)
class Gathered:
    """Files to process.

    Attributes:
        files: Files, in the order of the inputs; those of a folder are sorted.
        unreadable: Errors of the folders that could not be read.
        from_folder: Whether an input was a folder.
    """

    files: list[Found] = field(default_factory=list)
    unreadable: list[InputError] = field(default_factory=list)
    from_folder: bool = False


def gather(inputs: Sequence[Path], output: Path | None, kind: Kind) -> Gathered:
    """Return the files among files and in folders.

    A file is included whatever its name is. A folder and its sub-folders are searched for files of
    a kind. Names that begin with a dot are ignored. Links to folders are followed, but each folder
    is searched only once. The output folder, if it lies below an input folder, is not searched.

    Args:
        inputs: Paths of files and folders.
        output: Path of the output folder; None if there is none.
        kind: The files that are included from folders.

    Raises:
        InputError: If a folder could be read and contains no such file, or if there is no file at
            all; its class is `kind.error`.
    """
    found = Gathered(from_folder=any(map(_is_folder, inputs)))
    for path in inputs:
        if not _is_folder(path):
            found.files.append(Found(path))
            continue
        before = len(found.files), len(found.unreadable)
        walk = _Walk(output, found.unreadable, kind.error)
        for file in walk.files(path):
            if kind.takes(file):
                found.files.append(Found(file, file.parent.relative_to(path)))
        if before == (len(found.files), len(found.unreadable)):
            raise kind.error(f"{path} has no {kind.words}; give another folder, or the files")
    if found.unreadable and not found.files:
        raise found.unreadable[0]
    return found


def refuse_clashes(pairs: Iterable[tuple[Path, Path]], remedy: str) -> None:
    """Raise an error if two inputs have the same output.

    Args:
        pairs: Each input with its output.
        remedy: End of the message.

    Raises:
        OutputError: See above; the message names both inputs.
    """
    first: dict[str, Path] = {}
    for source, output in pairs:
        # Case is ignored, because on some file systems X.jpg and x.jpg are the same file.
        key = str(output).casefold()
        if key in first:
            raise OutputError(f"{first[key]} and {source} would both become {output}; {remedy}")
        first[key] = source


def refuse_to_replace(inputs: Iterable[Path], outputs: Iterable[Path], words: str) -> None:
    """Raise an error if an output is also an input.

    Args:
        inputs: Files to read.
        outputs: Files to write; links in their paths are followed.
        words: Description of an input, such as `a capture to develop`.

    Raises:
        OutputError: See above.
    """
    # Path.resolve raises if links form a cycle.
    taken = {os.path.realpath(path) for path in inputs}
    for path in outputs:
        if os.path.realpath(path) in taken:
            raise OutputError(f"{path} is {words} and cannot be written; give another -o")


class _Walk:
    """Lists the files of a folder and its sub-folders, each folder once."""

    def __init__(
        self, output: Path | None, unreadable: list[InputError], error: type[InputError]
    ) -> None:
        self._unreadable, self._error = unreadable, error
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
            self._error(f"the folder {folder} cannot be read: {reason}; check its permissions")
        )


def _identity(folder: Path) -> tuple[int, int]:
    status = folder.stat()
    return status.st_dev, status.st_ino


def _is_folder(path: Path | os.DirEntry[str]) -> bool:
    """Return whether a path is a folder; if the system refuses the path, it is not.

    Every other path is treated as a file, and processing it reports the fault.
    """
    try:
        return path.is_dir()
    except OSError:
        return False
