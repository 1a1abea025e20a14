"""Fixtures with a phone that is not there; tests/conftest.py imports them."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.adb_bed.bed import AdbBed
from tests.adb_bed.prepare import NotPrepared
from tests.adb_bed.server import AdbServer, adb_of_adbutils, adb_of_debian

__all__ = ["AdbDevice", "adb_bed", "adb_device", "adb_server", "open_bed"]


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


def open_bed(kind: str | None = None) -> AdbBed:
    """Start a bed, or skip the test with the reason."""
    try:
        return AdbBed(kind)
    except NotPrepared as reason:
        pytest.skip(f"no adb test bed: {reason}")


@pytest.fixture
def adb_bed() -> Iterator[AdbBed]:
    """A bed to which nothing is connected."""
    bed = open_bed()
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
def adb_device(
    adb_server: AdbServer, adb_bed: AdbBed, monkeypatch: pytest.MonkeyPatch
) -> Iterator[AdbDevice]:
    """A device that is connected; programs that this test starts use the private server."""
    monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", str(adb_server.port))
    said = adb_server.run("connect", adb_bed.serial).stdout
    if not said.startswith(b"connected"):
        raise RuntimeError(f"adb connect said {said!r}")
    yield AdbDevice(adb_bed.serial, adb_server.port, adb_bed, adb_bed.root, adb_server)
    adb_server.run("disconnect", adb_bed.serial)
