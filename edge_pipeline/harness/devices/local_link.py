"""A link to this machine, for programs that need no other one, such as an emulator's."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from edge_pipeline.errors import JobError
from edge_pipeline.harness.devices.base import DeviceLostError
from edge_pipeline.harness.devices.link import Answer
from edge_pipeline.harness.process import start_piped

__all__ = ["LocalLink"]

_NOT_FOUND = 127


class LocalLink:
    """A link whose commands run on this machine, and whose folder is a temporary one.

    No shell is involved, so no word is interpreted. Commands run in their own sessions, because
    they would otherwise get the Ctrl-C that ends the harness, before it can clean up.
    """

    def __init__(self) -> None:
        self.folder = ""

    def connect(self) -> None:
        """Create the folder, unless it exists."""
        if not self.folder:
            self.folder = tempfile.mkdtemp(prefix="edge_pipeline-")

    def run(self, words: Sequence[str], *, timeout_s: float = 30.0) -> Answer:
        """Run a command until it ends, and return its result; 127 if there is no such program."""
        try:
            done = subprocess.run(  # noqa: S603 - the harness's own words, without a shell
                list(words),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                encoding="utf-8",
                errors="replace",
                timeout=timeout_s,
                check=False,
                start_new_session=True,
            )
        except subprocess.TimeoutExpired as error:
            raise DeviceLostError(
                f"{words[0]} did not end in {timeout_s:g} s on this machine"
            ) from error
        except OSError as error:
            return Answer(_NOT_FOUND, "", f"{words[0]}: {error.strerror}")
        return Answer(done.returncode, done.stdout, done.stderr)

    def start(self, words: Sequence[str], stderr: IO[bytes]) -> subprocess.Popen[str]:
        """Start a command with pipes to its stdin and stdout."""
        try:
            return start_piped(words, stderr)
        except OSError as error:
            raise JobError(f"cannot start {words[0]}: {error.strerror}") from error

    def push(self, source: Path, target: str) -> None:
        """Copy a file into the folder."""
        _copy(source, Path(target))

    def pull(self, source: str, target: Path) -> None:
        """Copy a file from the folder."""
        _copy(Path(source), target)

    def close(self) -> None:
        """Remove the folder; may be called more than once."""
        if self.folder:
            shutil.rmtree(self.folder, ignore_errors=True)
        self.folder = ""


def _copy(source: Path, target: Path) -> None:
    try:
        shutil.copyfile(source, target)
    except OSError as error:
        raise JobError(f"cannot copy {source} to {target}: {error.strerror}") from error
