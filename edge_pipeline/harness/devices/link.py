"""Interface of links: commands and files of another machine, reached over some transport."""

from __future__ import annotations

import contextlib
import secrets
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

from edge_pipeline.errors import EdgePipelineError, JobError
from edge_pipeline.files import sha256_of

__all__ = ["Answer", "Link", "pull_checked", "push_checked", "run_checked"]

_HASH_S = 120.0
# A copy that was damaged is made once more.
_TRIES = 2


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


def push_checked(link: Link, source: Path, target: str) -> bool:
    """Copy a file to the machine unless it is there, and compare the checksums.

    The copy gets its name when it is complete, so that no other program sees a part of it. A
    damaged copy is made once more.

    Returns:
        Whether the file was copied; false if an equal file was there.

    Raises:
        JobError: If the copy differs from the file, or the machine cannot store it.
    """
    expected = sha256_of(source)
    if _remote_sha256(link, target) == expected:
        return False
    partial = f"{target}.{secrets.token_hex(6)}"
    try:
        for _ in range(_TRIES):
            link.push(source, partial)
            found = _remote_sha256(link, partial)
            if found == expected:
                run_checked(link, ["mv", "-f", partial, target], "renaming a file")
                return True
    except BaseException:
        with contextlib.suppress(EdgePipelineError):
            link.run(["rm", "-f", partial])
        raise
    link.run(["rm", "-f", partial])
    raise JobError(
        f"the copy of {source.name} on the device is damaged: its SHA-256 is "
        f"{found or 'not known'} instead of {expected}"
    )


def pull_checked(link: Link, source: str, target: Path) -> None:
    """Copy a file from the machine, and compare the checksums.

    A damaged copy is made once more; if it is damaged again, it is removed.

    Raises:
        JobError: If the copy differs from the file, or the file cannot be read.
    """
    expected = _remote_sha256(link, source)
    for _ in range(_TRIES):
        link.pull(source, target)
        found = sha256_of(target)
        if found == expected:
            return
    target.unlink()
    raise JobError(
        f"the copy of {source} from the device is damaged: its SHA-256 is {found} instead of "
        f"{expected or 'that of the device, which is not known'}"
    )


def _remote_sha256(link: Link, path: str) -> str | None:
    answer = link.run(["sha256sum", path], timeout_s=_HASH_S)
    words = answer.stdout.split()
    return words[0].lstrip("\\") if answer.code == 0 and words else None
