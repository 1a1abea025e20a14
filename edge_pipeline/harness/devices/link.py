"""Interface of links: commands and files of another machine, reached over some transport."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

from edge_pipeline.errors import JobError
from edge_pipeline.files import sha256_of

__all__ = ["Answer", "Link", "pull_checked", "push_checked", "run_checked"]

_HASH_S = 120.0
# A command line must not become longer than the machine allows.
_MOST_PATHS = 64


@dataclass(frozen=True)
class Answer:
    """Result of a command: its exit code, and the text of both streams."""

    code: int
    stdout: str
    stderr: str


class Link(Protocol):
    """A connection to another machine with a POSIX shell.

    A command is a sequence of words; the link quotes each word for the machine's shell, so that no
    word is ever interpreted. All methods except `close` raise DeviceLostError if the connection
    ended, or if the machine does not answer in time.

    Attributes:
        folder: Folder on the machine in which the harness may write; nothing is written outside it.
    """

    folder: str

    def connect(self) -> None:
        """Connect, if there is no connection yet.

        Raises:
            InputError: If there is no such machine, or it refuses the connection.
        """
        ...

    def run(self, words: Sequence[str], *, timeout_s: float = 30.0) -> Answer:
        """Run a command until it ends, and return its result."""
        ...

    def start(self, words: Sequence[str], stderr: IO[bytes]) -> subprocess.Popen[str]:
        """Start a command with pipes to its stdin and stdout."""
        ...

    def push(self, source: Path, target: str) -> None:
        """Copy a file to the machine; its folder exists there.

        Raises:
            JobError: If the machine cannot store it, for example because its disk is full.
        """
        ...

    def pull(self, source: str, target: Path) -> None:
        """Copy a file from the machine.

        Raises:
            JobError: If it cannot be read there.
        """
        ...

    def is_lost(self) -> bool:
        """Return whether the machine does not answer any more."""
        ...

    def close(self) -> None:
        """Release the connection; may be called more than once, and never raises."""
        ...


def run_checked(link: Link, words: Sequence[str], purpose: str, *, timeout_s: float = 30.0) -> str:
    """Run a command that must succeed, and return its stdout.

    Args:
        link: Connection to the machine.
        words: The command.
        purpose: Description of the command for the message, such as `making a folder`.
        timeout_s: Longest time in seconds.

    Raises:
        JobError: If its exit code is not 0.
    """
    answer = link.run(words, timeout_s=timeout_s)
    if answer.code:
        lines = (answer.stderr or answer.stdout).strip().splitlines() or ["no message"]
        raise JobError(f"{purpose} failed on the device with code {answer.code}: {lines[-1]}")
    return answer.stdout


def push_checked(link: Link, files: Mapping[str, Path]) -> None:
    """Copy files to the machine, except those that are there, and compare the checksums.

    Args:
        link: Connection to the machine.
        files: Files of this machine by their paths on the other one, whose folders exist.

    Raises:
        JobError: If a copy differs from its file, or the machine cannot store it.
    """
    expected = {target: sha256_of(source) for target, source in files.items()}
    there = _remote_sha256(link, list(files))
    missing = [target for target in files if there.get(target) != expected[target]]
    for target in missing:
        link.push(files[target], target)
    found = _remote_sha256(link, missing)
    for target in missing:
        if found.get(target) != expected[target]:
            raise JobError(
                f"the copy of {files[target].name} on the device is damaged: its SHA-256 is "
                f"{found.get(target, 'not known')} instead of {expected[target]}"
            )


def pull_checked(link: Link, source: str, target: Path) -> None:
    """Copy a file from the machine, and compare the checksums.

    Raises:
        JobError: If the copy differs from the file, or the file cannot be read.
    """
    expected = _remote_sha256(link, [source]).get(source)
    link.pull(source, target)
    found = hashlib.sha256(target.read_bytes()).hexdigest()
    if found != expected:
        raise JobError(
            f"the copy of {source} from the device is damaged: its SHA-256 is {found} instead of "
            f"{expected or 'that of the device, which is not known'}"
        )


def _remote_sha256(link: Link, paths: Sequence[str]) -> dict[str, str]:
    """Return the checksums of the files that exist, by path."""
    found: dict[str, str] = {}
    for start in range(0, len(paths), _MOST_PATHS):
        chosen = paths[start : start + _MOST_PATHS]
        answer = link.run(["sha256sum", *chosen], timeout_s=_HASH_S)
        for line in answer.stdout.splitlines():
            digest, _, path = line.lstrip("\\").partition("  ")
            found[path] = digest
    return {path: found[path] for path in paths if path in found}
