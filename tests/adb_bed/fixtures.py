"""Fixtures with a phone that is not there; tests/conftest.py imports them.

A test is skipped with the reason if the machine cannot run the bed (`prepare.NotPrepared`).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.adb_bed.bed import AdbBed
from tests.adb_bed.server import AdbServer, adb_of_adbutils, adb_of_debian

__all__ = ["AdbDevice", "adb_bed", "adb_device", "adb_server", "connect_adb_device"]


@dataclass(frozen=True)
class AdbDevice:
    """A connected device.

    Attributes:
        serial: Its name, 127.0.0.1:PORT.
        server_port: The port of the private adb server that is connected to it.
        bed: Changes faults, properties and sensors.
        root: The phone's root as a path of this machine; never resolve it.
        server: Runs the adb client; may be stopped and started.
    """

    serial: str
    server_port: int
    bed: AdbBed
    root: Path
    server: AdbServer


@pytest.fixture
def adb_bed() -> Iterator[AdbBed]:
    """A bed to which nothing is connected."""
    bed = AdbBed()
    yield bed
    bed.close()


@pytest.fixture(scope="session")
def adb_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AdbServer]:
    """A private adb server; the tests of one worker share it."""
    adb = adb_of_debian() or adb_of_adbutils()
    if adb is None:
        pytest.skip("no adb; on Debian: apt-get install adb")
    server = AdbServer(adb, tmp_path_factory.mktemp("adb"))
    yield server
    server.stop()


@pytest.fixture
def connect_adb_device(
    adb_server: AdbServer, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[], AdbDevice]]:
    """Each call gives one more connected device; programs of this test use the private server."""
    adb_server.start()  # an earlier test may have ended it
    monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", str(adb_server.port))
    devices: list[AdbDevice] = []

    def connect() -> AdbDevice:
        bed = AdbBed()
        devices.append(AdbDevice(bed.serial, adb_server.port, bed, bed.root, adb_server))
        said = adb_server.run("connect", bed.serial).stdout
        if not said.startswith(b"connected"):
            raise RuntimeError(f"adb connect said {said!r}")
        return devices[-1]

    yield connect
    for device in devices:
        adb_server.run("disconnect", device.serial)
        device.bed.close()


@pytest.fixture
def adb_device(connect_adb_device: Callable[[], AdbDevice]) -> AdbDevice:
    """A connected device; programs that this test starts use the private server."""
    return connect_adb_device()
