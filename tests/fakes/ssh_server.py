"""A real sshd on loopback, run as the current user, with keys and a home in a temporary folder."""

from __future__ import annotations

import contextlib
import getpass
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

import psutil

__all__ = ["SshServer", "missing_programs"]

SSHD = "/usr/sbin/sshd"
# Root's sshd requires this folder, which Debian's package makes when its service starts.
_RUN = Path("/run/sshd")


def missing_programs() -> str | None:
    """Why no server can be started here; None if one can."""
    for program in (SSHD, "ssh", "ssh-keygen"):
        if shutil.which(program) is None:
            return f"{program} is not installed; install openssh-server"
    return None


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def _key(path: Path) -> None:
    words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)]
    subprocess.run(words, check=True, stdin=subprocess.DEVNULL)


class SshServer:
    """A server with one accepted key, and the configuration of a client for it.

    The client's hosts are `board`, `wrong-key`, `wrong-host`, and `closed`, where nobody listens.

    Attributes:
        home: home folder of the sessions.
        port: its port.
        bin: a folder with an `ssh` that reads this configuration; put it in front of PATH.
    """

    def __init__(self, folder: Path) -> None:
        self.home, self.bin = folder / "home", folder / "bin"
        self.port = _free_port()
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        for made in (self.home, self.bin):
            made.mkdir(parents=True)
        for key in ("host", "user", "other"):
            _key(folder / key)
        shutil.copy(folder / "user.pub", folder / "authorized_keys")
        self._write_server()
        self._write_client()

    def _write_server(self) -> None:
        f = self._folder
        lines = [
            f"Port {self.port}", "ListenAddress 127.0.0.1", f"HostKey {f / 'host'}",
            f"AuthorizedKeysFile {f / 'authorized_keys'}", "PasswordAuthentication no",
            "KbdInteractiveAuthentication no", "StrictModes no", f"PidFile {f / 'pid'}",
            "PermitRootLogin yes", f"SetEnv HOME={self.home}", "UsePAM no", "MaxStartups 100",
        ]  # fmt: skip
        (f / "sshd_config").write_text("\n".join(lines) + "\n")

    def _write_client(self) -> None:
        f = self._folder
        host_key = " ".join((f / "host.pub").read_text().split()[:2])
        other_key = " ".join((f / "other.pub").read_text().split()[:2])
        names = [f"[127.0.0.1]:{port}" for port in (self.port, 1)]
        (f / "known").write_text("".join(f"{name} {host_key}\n" for name in names))
        (f / "known_wrong").write_text(f"{names[0]} {other_key}\n")

        def host(name: str, key: str, known: str, port: int) -> str:
            return (
                f"Host {name}\n  HostName 127.0.0.1\n  Port {port}\n  IdentityFile {f / key}\n"
                f"  UserKnownHostsFile {f / known}\n"
            )

        texts = [
            host("board", "user", "known", self.port),
            host("wrong-key", "other", "known", self.port),
            host("wrong-host", "user", "known_wrong", self.port),
            host("closed", "user", "known", 1),
            f"Host 127.0.0.1\n  IdentityFile {f / 'user'}\n  UserKnownHostsFile {f / 'known'}\n",
            f"Host *\n  User {getpass.getuser()}\n  IdentitiesOnly yes\n  IdentityAgent none\n"
            "  GlobalKnownHostsFile /dev/null\n",
        ]
        (f / "ssh_config").write_text("".join(texts))
        program = self.bin / "ssh"
        program.write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -F "{f}/ssh_config" "$@"\n')
        program.chmod(0o755)

    def start(self) -> None:
        """Start it, and wait until it answers."""
        if os.geteuid() == 0:
            _RUN.mkdir(mode=0o755, exist_ok=True)
        log = (self._folder / "log").open("ab")
        words = [SSHD, "-D", "-e", "-f", str(self._folder / "sshd_config")]
        self._process = subprocess.Popen(words, stderr=log, stdin=subprocess.DEVNULL)
        log.close()
        for _ in range(200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.05)
        raise AssertionError((self._folder / "log").read_text())

    def drop_sessions(self) -> None:
        """End all connections, as if the board's network had failed."""
        assert self._process is not None
        for child in psutil.Process(self._process.pid).children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):  # it ended since it was listed
                if child.name().startswith("sshd"):
                    child.kill()

    def stop(self) -> None:
        """End the server and all connections."""
        if self._process is not None:
            self.drop_sessions()
            self._process.kill()
            self._process.wait()
            self._process = None
