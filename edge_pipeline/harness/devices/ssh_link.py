"""A link through the system's `ssh`: one connection, over which all commands and files go."""

from __future__ import annotations

import contextlib
import os
import posixpath
import re
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from edge_pipeline.errors import InputError, JobError
from edge_pipeline.harness.devices.base import DeviceLostError
from edge_pipeline.harness.devices.link import Answer
from edge_pipeline.harness.process import start_piped

__all__ = ["SshLink", "destination_words"]

_CONNECT_S = 10
_COPY_S = 600.0
_WITH_PORT = re.compile(r"(?P<user>[^@]*@)?(\[(?P<six>.+)\]|(?P<name>[^:\[\]]+)):(?P<port>\d+)")
_LOST = 255  # ssh's own exit code; the commands that the harness runs do not end with it
_OPTIONS = (
    "BatchMode=yes",
    f"ConnectTimeout={_CONNECT_S}",
    "ServerAliveInterval=5",
    "ServerAliveCountMax=3",
    "ClearAllForwardings=yes",
    "ForwardX11=no",
    "RequestTTY=no",
    "RemoteCommand=none",
    "LogLevel=ERROR",
)
# The master ends this long after its last command if the harness was killed.
_PERSIST = "ControlPersist=600"
# Parts of ssh's messages, and the sentence for each.
_REASONS = (
    ("could not resolve", "{} is unknown; check the name, or add it to ~/.ssh/config"),
    ("name or service not known", "{} is unknown; check the name, or add it to ~/.ssh/config"),
    ("connection refused", "{} refused the connection; check that an SSH server runs there"),
    ("host key verification failed", "the key of {0} is unknown or has changed; run `ssh {0}` "
     "once, and check its fingerprint"),
    ("host key", "the key of {0} is unknown or has changed; run `ssh {0}` once, and check its "
     "fingerprint"),
    ("permission denied", "{0} accepted no key of this user; run `ssh-copy-id {0}`"),
    ("too many authentication", "{0} accepted no key of this user; run `ssh-copy-id {0}`"),
    ("no route to host", "{} cannot be reached; check the network"),
    ("network is unreachable", "{} cannot be reached; check the network"),
    ("timed out", f"{{}} did not answer in {_CONNECT_S} s; check that it is on"),
)  # fmt: skip


def destination_words(host: str) -> list[str]:
    """Return the words of an ssh command that name a host.

    Args:
        host: `HOST`, `USER@HOST`, either with `:PORT`, or an alias of ~/.ssh/config; an IPv6
            address with a port is in brackets.

    Raises:
        InputError: If it is not such a name.
    """
    if not re.fullmatch(r"[^\s\x00-\x1f\x7f]+", host) or host.startswith("-") or "@-" in host:
        raise InputError(
            f"the host must be a name or an address as for ssh, without spaces and a leading -, "
            f"got {host!r}"
        )
    found = _WITH_PORT.fullmatch(host)
    if found is None:
        return ["--", host]
    if not 1 <= int(found["port"][:9]) <= 65535:
        raise InputError(f"the port of {host} must be from 1 to 65535")
    return ["-p", found["port"], "--", (found["user"] or "") + (found["six"] or found["name"])]


class SshLink:
    """A link to a machine that `ssh` reaches.

    `connect` starts the only connection; commands use it, and none of them connects by itself.
    Files go through `cat`, because the quoting of names by `scp` depends on its version.

    Args:
        host: Host as for `destination_words`.
        work: Folder below the home folder of the machine in which the harness writes.

    Raises:
        InputError: If the host is invalid, or `ssh` is not installed.
    """

    def __init__(self, host: str, work: str = ".cache/edge-pipeline/work") -> None:
        self.folder = ""
        self._host = host
        self._destination = destination_words(host)
        self._work = work
        self._sockets: str | None = None
        program = shutil.which("ssh")
        if program is None:
            raise InputError("the program ssh is not installed; install OpenSSH's client")
        self._program = program

    def connect(self) -> None:
        """Connect, unless a connection is open.

        Raises:
            InputError: If the host is unknown or refuses the connection.
        """
        if self._sockets is None:
            # Not below TMPDIR, whose name can be longer than that of a socket may be.
            self._sockets = tempfile.mkdtemp(prefix="ep-", dir="/tmp")
        elif self._is_open():
            return
        words = ["-o", "ControlMaster=auto", "-o", _PERSIST]
        answer = self._ssh(words, ["sh", "-c", 'echo "$HOME"'], 3.0 * _CONNECT_S)
        home = answer.stdout.strip()
        if answer.code or not posixpath.isabs(home):
            self.close()
            raise InputError(self._refusal(answer.stderr.lower()))
        self.folder = posixpath.join(home, self._work)

    def run(self, words: Sequence[str], *, timeout_s: float = 30.0) -> Answer:
        """Run a command until it ends, and return its result."""
        answer = self._ssh(_MUXED, words, timeout_s)
        if answer.code == _LOST:
            raise self._lost()
        return answer

    def start(self, words: Sequence[str], stderr: IO[bytes]) -> subprocess.Popen[str]:
        """Start a command with pipes to its stdin and stdout."""
        return start_piped(self._words(_MUXED, words), stderr)

    def push(self, source: Path, target: str) -> None:
        """Copy a file to the machine."""
        with source.open("rb") as file:
            answer = self._ssh(
                _MUXED, ["sh", "-c", 'cat > "$1"', "sh", target], _COPY_S, stdin=file
            )
        self._require_copied(answer, source.name)

    def pull(self, source: str, target: Path) -> None:
        """Copy a file from the machine."""
        with target.open("wb") as file:
            answer = self._ssh(_MUXED, ["cat", source], _COPY_S, stdout=file)
        self._require_copied(answer, source)

    def close(self) -> None:
        """End the connection; may be called more than once."""
        if self._sockets is not None:
            with contextlib.suppress(DeviceLostError):
                self._control("exit")
            shutil.rmtree(self._sockets, ignore_errors=True)
            self._sockets = None

    def _is_open(self) -> bool:
        """Whether a command arrives; a master whose connection was lost is ended otherwise."""
        with contextlib.suppress(DeviceLostError):
            if self._ssh(_MUXED, ["true"], _CONNECT_S).code == 0:
                return True
            self._control("exit")
        return False

    def _control(self, order: str) -> int:
        return self._ssh(["-O", order], [], 10.0).code

    def _require_copied(self, answer: Answer, name: str) -> None:
        if answer.code == _LOST:
            raise self._lost()
        if answer.code:
            reason = answer.stderr.strip().rpartition(": ")[2] or "no message"
            raise JobError(f"{name} cannot be copied from or to {self._host}: {reason}")

    def _lost(self) -> DeviceLostError:
        return DeviceLostError(f"the connection to {self._host} ended; measure again")

    def _refusal(self, stderr: str) -> str:
        for part, sentence in _REASONS:
            if part in stderr:
                return sentence.format(self._host)
        return f"{self._host} cannot be used over ssh; `ssh {self._host} true` shows the reason"

    def _words(self, options: Sequence[str], command: Sequence[str]) -> list[str]:
        given = [word for option in _OPTIONS for word in ("-o", option)]
        given += ["-o", f"ControlPath={self._sockets}/c", *options]
        remote = [shlex.join(command)] if command else []
        return [self._program, *given, *self._destination, *remote]

    def _ssh(
        self,
        options: Sequence[str],
        command: Sequence[str],
        timeout_s: float,
        *,
        stdin: IO[bytes] | None = None,
        stdout: IO[bytes] | None = None,
    ) -> Answer:
        """Run ssh until it ends. Its output goes to files, since a master would keep pipes open."""
        words = self._words(options, command)
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as stderr:
            streams: dict[str, Any] = {
                "stdin": stdin or subprocess.DEVNULL, "stdout": stdout or out, "stderr": stderr,
            }  # fmt: skip
            process = subprocess.Popen(words, start_new_session=True, **streams)  # noqa: S603
            try:
                code = process.wait(timeout_s)
            except subprocess.TimeoutExpired as error:
                raise DeviceLostError(
                    f"{self._host} did not answer in {timeout_s:g} s; measure again"
                ) from error
            finally:
                process.kill()
                process.wait()
            texts = []
            for file in (out, stderr):
                file.seek(0, os.SEEK_SET)
                texts.append(file.read().decode(errors="replace"))
        return Answer(code, texts[0], texts[1])


# No command makes a connection of its own: without the master, its proxy fails at once.
_MUXED = ("-o", "ControlMaster=no", "-o", "ProxyCommand=false")
