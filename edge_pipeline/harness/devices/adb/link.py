"""Link to an Android device through the system's adb.

Commands, files and the list of devices go through adbutils, whose calls have time limits; the pipe
of a worker is the adb client itself. Its exit code says little: a lost connection can end it with
code 0, so every command ends with a mark that carries its own exit code.
"""

from __future__ import annotations

import re
import shlex
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from edge_pipeline.errors import InputError, JobError
from edge_pipeline.harness.devices.base import DeviceLostError
from edge_pipeline.harness.devices.link import Answer
from edge_pipeline.harness.process import start_piped
from edge_pipeline.optional import require

if TYPE_CHECKING:
    from adbutils import AdbDevice

__all__ = ["WORK_FOLDER", "AdbLink", "client", "states"]

WORK_FOLDER = "/data/local/tmp"
"""Folder of an Android device in which adb's user may write and execute."""

_MARK = "@@edge_pipeline"
_CONNECT_S = 10.0
_TRANSFER_S = 60.0
_PROBE_S = 5.0
_REMEDIES = {
    "unauthorized": "unlock it and allow USB debugging for this computer",
    "offline": "disconnect it and connect it again",
    "no permissions": "add a udev rule for it, or run adb's server as another user",
}


def client(timeout_s: float = _CONNECT_S) -> Any:
    """Return a client of the adb server, which is started if it does not run.

    Raises:
        MissingExtraError: If adbutils is not installed.
        InputError: If there is no adb, or its server does not start.
    """
    adbutils = require("adbutils", "devices", "measuring on Android devices")
    found = adbutils.AdbClient(socket_timeout=timeout_s)
    try:
        _start_server(found.host, found.port, adbutils.adb_path())
        found.server_version()
    except (adbutils.AdbError, OSError) as error:
        raise InputError(
            "adb's server does not start; install adb (on Debian: apt-get install adb), and see "
            "whether `adb devices` works"
        ) from error
    return found


def _start_server(host: str, port: int, program: str) -> None:
    """Start adb's server if it does not run; adbutils would let it write to this terminal."""
    with suppress(OSError), socket.create_connection((host, port), _PROBE_S):
        return
    with suppress(OSError, subprocess.TimeoutExpired):
        subprocess.run(  # noqa: S603 - the system's adb, without a shell
            [program, "start-server"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=_CONNECT_S,
            check=False,
        )


def states() -> dict[str, str]:
    """Return the state of every attached device by serial number; `device` if it can be used."""
    adbutils = require("adbutils", "devices", "measuring on Android devices")
    try:
        return {info.serial: info.state for info in client().list()}
    except (adbutils.AdbError, OSError) as error:
        raise JobError("adb's server does not list its devices; run `adb kill-server`") from error


class AdbLink:
    """A connection to one Android device.

    Args:
        serial: Serial number, or HOST:PORT of a device on the network; empty for the only one.
    """

    folder = WORK_FOLDER

    def __init__(self, serial: str) -> None:
        self.serial = serial

    def connect(self) -> None:
        """Find the device; connect to one on the network, again if the connection was lost.

        Raises:
            InputError: If it is not attached, is not ready, or is one of several.
        """
        attached = states()
        if not self.serial:
            self.serial = _only(attached)
        if ":" in self.serial and attached.get(self.serial) != "device":
            self._reconnect()
            attached = states()
        state = attached.get(self.serial)
        if state is None:
            listed = ", ".join(sorted(attached)) or "none"
            raise InputError(f"no device {self.serial!r} is attached to adb; attached: {listed}")
        if state != "device":
            remedy = _REMEDIES.get(state, "wait until it has started")
            raise InputError(f"the device {self.serial} is {state}; {remedy}")

    def run(self, words: Sequence[str], *, timeout_s: float = 30.0) -> Answer:
        """Run a command until it ends, and return its result.

        Raises:
            DeviceLostError: If the connection ended, or the command did not end in time.
        """
        command = f"({shlex.join(words)}) </dev/null; code=$?; echo; echo {_MARK} $code"
        with self._lost(f"it did not answer {words[0]!r} in {timeout_s:g} s"):
            found = self._device(timeout_s).shell2(command, timeout=timeout_s, v2=True)
        output, _, end = found.stdout.rpartition(_MARK)
        if not re.fullmatch(r" \d+\s*", end):
            raise DeviceLostError(self._message("it cut the connection during a command"))
        return Answer(int(end), output.removesuffix("\n"), found.stderr)

    def start(self, words: Sequence[str], stderr: IO[bytes]) -> subprocess.Popen[str]:
        """Start a command with pipes to its stdin and stdout."""
        import adbutils

        command = f"exec {shlex.join(words)}"
        return start_piped([adbutils.adb_path(), "-s", self.serial, "shell", "-T", command], stderr)

    def push(self, source: Path, target: str) -> None:
        """Copy a file to the device.

        Raises:
            JobError: If the device cannot store it.
            DeviceLostError: If the connection ended.
        """
        with self._transfer(f"store {source.name} in {target.rpartition('/')[0]}"):
            self._device(_TRANSFER_S).sync.push(source, target)

    def pull(self, source: str, target: Path) -> None:
        """Copy a file from the device; nothing remains here if that fails.

        Raises:
            JobError: If it cannot be read there.
            DeviceLostError: If the connection ended.
        """
        try:
            with self._transfer(f"read {source}"):
                self._device(_TRANSFER_S).sync.pull_file(source, target)
        except BaseException:
            target.unlink(missing_ok=True)
            raise

    def is_lost(self) -> bool:
        """Return whether the device does not answer any more."""
        try:
            return self.run(["true"], timeout_s=_PROBE_S).code != 0
        except (DeviceLostError, InputError, JobError):
            return True

    def close(self) -> None:
        """Do nothing: adb's server keeps the connection for its other clients."""

    def _device(self, timeout_s: float) -> AdbDevice:
        return client(timeout_s).device(serial=self.serial)

    def _reconnect(self) -> None:
        """Connect to a device on the network; adb says `already connected` for a lost one."""
        import adbutils

        with suppress(adbutils.AdbError, OSError):
            client().disconnect(self.serial)
        with suppress(adbutils.AdbError, OSError):
            client().connect(self.serial, timeout=_CONNECT_S)

    @contextmanager
    def _lost(self, late: str) -> Iterator[None]:
        """Turn the errors of a lost connection into DeviceLostError."""
        import adbutils

        try:
            yield
        except (adbutils.AdbTimeout, TimeoutError) as error:
            raise DeviceLostError(self._message(late)) from error
        except (adbutils.AdbError, EOFError, OSError) as error:
            raise DeviceLostError(self._message("it cut the connection")) from error

    @contextmanager
    def _transfer(self, purpose: str) -> Iterator[None]:
        """Distinguish a device that refuses a file from one that is gone; adbutils does not."""
        try:
            with self._lost(f"a file was not transferred in {_TRANSFER_S:g} s"):
                yield
        except DeviceLostError as error:
            if self.is_lost():
                raise
            raise JobError(
                f"the device {self.serial} could not {purpose}; {self._free_text()}"
            ) from error

    def _free_text(self) -> str:
        with suppress(DeviceLostError):
            lines = self.run(["df", "-k", self.folder]).stdout.strip().splitlines()
            numbers = re.findall(r"\s(\d+)", lines[-1] if lines else "")
            if len(numbers) >= 3:
                return f"{int(numbers[2]) / 1024:.1f} MiB are free in {self.folder}"
        return f"look at the free storage of {self.folder}"

    def _message(self, reason: str) -> str:
        return f"the device {self.serial} was lost: {reason}"


def _only(attached: dict[str, str]) -> str:
    ready = sorted(serial for serial, state in attached.items() if state == "device")
    if len(ready) == 1:
        return ready[0]
    if ready:
        raise InputError(
            f"{len(ready)} devices are attached; name one: "
            f"{', '.join(f'--device adb:{serial}' for serial in ready)}"
        )
    others = ", ".join(f"{serial} ({state})" for serial, state in sorted(attached.items()))
    raise InputError(f"no Android device is ready; attached: {others or 'none'}")
