"""The two real adb clients, each with a private server, and a device connected to it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from tests.adb_bed.bed import AdbBed
from tests.adb_bed.server import AdbServer, adb_of_adbutils, adb_of_debian

FIND: dict[str, Callable[[], Path | None]] = {"debian": adb_of_debian, "adbutils": adb_of_adbutils}


@dataclass(frozen=True)
class Client:
    """One client, connected to one device."""

    name: str
    server: AdbServer
    bed: AdbBed

    def run(
        self, *arguments: str, data: bytes | None = None, limit_s: float = 20
    ) -> CompletedProcess[bytes]:
        """Run the client for this device."""
        return self.server.run("-s", self.bed.serial, *arguments, data=data, limit_s=limit_s)

    def shell(self, command: str, data: bytes | None = None) -> CompletedProcess[bytes]:
        """Run a shell command on the device."""
        return self.run("shell", command, data=data)

    def reconnect(self) -> bytes:
        """Disconnect and connect again; returns what the client says."""
        self.server.run("disconnect", self.bed.serial)
        return self.server.run("connect", self.bed.serial).stdout


@pytest.fixture(scope="session", params=list(FIND))
def any_server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[AdbServer]:
    adb = FIND[request.param]()
    if adb is None:
        pytest.skip(f"the adb of {request.param} is not installed")
    server = AdbServer(adb, tmp_path_factory.mktemp(request.param))
    yield server
    server.stop()


@pytest.fixture
def client(
    any_server: AdbServer, adb_bed: AdbBed, request: pytest.FixtureRequest
) -> Iterator[Client]:
    said = any_server.run("connect", adb_bed.serial).stdout
    assert said.startswith(b"connected"), said
    name = "adbutils" if "adbutils" in str(any_server.adb) else "debian"
    yield Client(name, any_server, adb_bed)
    any_server.run("disconnect", adb_bed.serial)
