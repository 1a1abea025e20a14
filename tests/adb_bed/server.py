"""A private adb server, which ends with its test."""

import os
import shutil
import socket
import subprocess
import time
from importlib.util import find_spec
from pathlib import Path

__all__ = ["AdbServer", "adb_of_adbutils", "adb_of_debian"]

START_S = 15
LIMIT_S = 20
# Only devices that are connected by name: no search of USB (which takes adb 36 three seconds where
# there is none), of the network, or of local emulators.
NO_SEARCH = {"ADB_USB": "0", "ADB_MDNS": "0", "ADB_LOCAL_TRANSPORT_MAX_PORT": "5553"}


def adb_of_debian() -> Path | None:
    """The adb of the path, if there is one."""
    path = shutil.which("adb")
    return Path(path) if path else None


def adb_of_adbutils() -> Path | None:
    """The adb inside the wheel of adbutils, if it is installed and has one."""
    spec = find_spec("adbutils")
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin).parent / "binaries/adb"
    return path if path.exists() else None


class AdbServer:
    """A server of one adb on a free port; keys and logs stay in its folder."""

    def __init__(self, adb: Path, folder: Path) -> None:
        self.adb = adb
        self.folder = folder
        self.port = _free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def environment(self) -> dict[str, str]:
        """The variables for programs that are to use this server."""
        places = {"HOME": str(self.folder), "TMPDIR": str(self.folder)}
        return {**os.environ, **NO_SEARCH, **places, "ANDROID_ADB_SERVER_PORT": str(self.port)}

    def start(self) -> None:
        """Start the server if it does not run, and wait until it listens."""
        if self._process is not None and self._process.poll() is None:
            return
        self.stop()
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [self.adb, "-P", str(self.port), "nodaemon", "server"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self.environment,
            )
        end = time.monotonic() + START_S
        while time.monotonic() < end and self._process.poll() is None:
            if self._listens():
                return
            time.sleep(0.02)
        raise RuntimeError(f"the adb server did not start; see {self.folder / 'server.log'}")

    def stop(self) -> None:
        """End the server, also one that a client has started in the place of a killed one."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(LIMIT_S)
            self._process = None
        if self._listens():
            self.run("kill-server")

    def run(
        self, *arguments: str, data: bytes | None = None, limit_s: float = LIMIT_S
    ) -> subprocess.CompletedProcess[bytes]:
        """Run the client with these arguments; its standard input is `data`, or is empty."""
        return subprocess.run(
            [self.adb, "-P", str(self.port), *arguments],
            input=data if data is not None else b"",
            capture_output=True,
            timeout=limit_s,
            env=self.environment,
        )

    def _listens(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        except OSError:
            return False
        return True


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
