"""Interface of links: commands and files of another machine, reached over some transport."""

from __future__ import annotations

import contextlib
import secrets
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

from edge_pipeline.errors import EdgePipelineError, JobError
from edge_pipeline.files import sha256_of
from edge_pipeline.harness.devices.base import DeviceLostError

__all__ = ["Answer", "Link", "pull_checked", "push_checked", "run_checked"]

_HASH_S = 120.0
# A command line must not become longer than the machine allows.
_MOST_PATHS = 64
# A copy that was damaged, or that a lost connection interrupted, is made once more.
_TRIES = 2
# Gives the files in the first, third, ... argument the names in the second, fourth, ... one.
_RENAME = 'while [ $# -gt 1 ]; do mv -f "$1" "$2" || exit 1; shift 2; done'


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


def push_checked(link: Link, files: Mapping[str, Path]) -> int:
    """Copy files to the machine, except those that are there, and compare the checksums.

    A copy gets its name when it is complete, so that no other program sees a part of it. A damaged
    copy is made once more. If the connection is lost, it is made again, and the copies continue.

    Args:
        link: Connection to the machine.
        files: Files of this machine by their paths on the other one, whose folders exist.

    Returns:
        The number of files that were copied.

    Raises:
        JobError: If a copy differs from its file, or the machine cannot store it.
        DeviceLostError: If the connection is lost twice.
    """
    digests = {target: sha256_of(source) for target, source in files.items()}
    there = _remote_sha256(link, list(files))
    ending = f".{secrets.token_hex(6)}"
    left = [target for target in files if there.get(target) != digests[target]]
    number = len(left)
    try:
        for attempt in range(_TRIES):
            try:
                left = _pushed(link, {target: files[target] for target in left}, digests, ending)
            except DeviceLostError:
                if attempt == _TRIES - 1:
                    raise
                link.connect()
            if not left:
                return number
    except BaseException:
        _forget(link, left, ending)
        raise
    _forget(link, left, ending)
    raise JobError(f"the copy of {files[left[0]].name} on the device is damaged")


def _pushed(
    link: Link, files: Mapping[str, Path], digests: Mapping[str, str], ending: str
) -> list[str]:
    """Copy files, name those whose checksum is right, and return the others."""
    for target, source in files.items():
        link.push(source, target + ending)
    found = _remote_sha256(link, [target + ending for target in files])
    right = [target for target in files if found.get(target + ending) == digests[target]]
    pairs = [word for target in right for word in (target + ending, target)]
    if pairs:
        run_checked(link, ["sh", "-c", _RENAME, "sh", *pairs], "renaming files")
    return [target for target in files if target not in right]


def _forget(link: Link, targets: Sequence[str], ending: str) -> None:
    """Remove incomplete copies, if the machine can be reached."""
    with contextlib.suppress(EdgePipelineError):
        link.run(["rm", "-f", *(target + ending for target in targets)])


def pull_checked(link: Link, source: str, target: Path) -> None:
    """Copy a file from the machine, and compare the checksums.

    A damaged copy is made once more; if it is damaged again, it is removed.

    Raises:
        JobError: If the copy differs from the file, or the file cannot be read.
    """
    expected = _remote_sha256(link, [source]).get(source)
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


def _remote_sha256(link: Link, paths: Sequence[str]) -> dict[str, str]:
    """Return the checksums of the files that exist, by path."""
    # Versions of sha256sum print such names differently; alone, a file needs no name.
    odd = [path for path in paths if set(path) & set("\\\n\r")]
    plain = [path for path in paths if path not in odd]
    found: dict[str, str] = {}
    for path in odd:
        words = link.run(["sha256sum", path], timeout_s=_HASH_S).stdout.split()
        found |= {path: words[0].lstrip("\\")} if words else {}
    for start in range(0, len(plain), _MOST_PATHS):
        chosen = plain[start : start + _MOST_PATHS]
        answer = link.run(["sha256sum", *chosen], timeout_s=_HASH_S)
        for line in answer.stdout.split("\n"):
            digest, _, path = line.partition("  ")
            found[path] = digest
    return {path: found[path] for path in paths if path in found}
