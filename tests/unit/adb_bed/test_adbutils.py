"""adbutils uses the device as it would use a phone."""

import os
from pathlib import Path
from typing import Any

import pytest

from tests.adb_bed.bed import WORK
from tests.adb_bed.fixtures import AdbDevice

adbutils = pytest.importorskip("adbutils")


@pytest.fixture
def phone(adb_device: AdbDevice) -> Any:
    client = adbutils.AdbClient(host="127.0.0.1", port=adb_device.server_port, socket_timeout=10)
    return client.device(serial=adb_device.serial)


def test_default_client_finds_the_private_server(adb_device: AdbDevice) -> None:
    listed = adbutils.AdbClient().device_list()
    assert [device.serial for device in listed] == [adb_device.serial]


def test_shell_reports_streams_and_code(phone: Any) -> None:
    done = phone.shell2("echo out; echo err >&2; (exit 7)", v2=True)
    assert (done.stdout, done.stderr, done.returncode) == ("out\n", "err\n", 7)


def test_properties(phone: Any) -> None:
    assert phone.prop.get("ro.soc.model") == "EP8000"
    assert phone.get_features()


@pytest.mark.parametrize("size", [0, 1, 65537, (1 << 20) + 1])
def test_files_go_there_and_back(phone: Any, tmp_path: Path, size: int) -> None:
    data = os.urandom(size)
    sync = phone.sync
    assert sync.push(data, f"{WORK}/file") == size
    assert sync.stat(f"{WORK}/file").size == size
    assert sync.exists(f"{WORK}/file")
    assert not sync.exists(f"{WORK}/other")
    assert sync.pull(f"{WORK}/file", tmp_path / "file") == size
    assert (tmp_path / "file").read_bytes() == data


def test_folders_are_listed(phone: Any) -> None:
    sync = phone.sync
    sync.push(b"1", f"{WORK}/folder/one")
    sync.push(b"22", f"{WORK}/folder/two")
    found = {entry.path: entry.size for entry in sync.list(f"{WORK}/folder")}
    assert found == {"one": 1, "two": 2}


def test_lost_link_while_pushing(phone: Any, adb_device: AdbDevice) -> None:
    adb_device.bed.faults.drop_link("push", after_bytes=100_000)
    with pytest.raises((adbutils.AdbError, OSError)):
        phone.sync.push(bytes(1 << 20), f"{WORK}/file")
    assert not list((adb_device.root / "data/local/tmp").iterdir())


def test_lost_link_while_pulling_leaves_a_part(
    phone: Any, adb_device: AdbDevice, tmp_path: Path
) -> None:
    (adb_device.root / "data/local/tmp/file").write_bytes(bytes(1 << 20))
    adb_device.bed.faults.drop_link("pull", after_bytes=300_000)
    with pytest.raises((adbutils.AdbError, OSError)):
        phone.sync.pull(f"{WORK}/file", tmp_path / "file")
    assert (tmp_path / "file").stat().st_size < 1 << 20


def test_lost_link_in_a_shell(phone: Any, adb_device: AdbDevice) -> None:
    adb_device.bed.faults.drop_link("shell", after_bytes=20, times=2)
    with pytest.raises(EOFError):
        phone.shell2("echo 0123456789; echo; sleep 1; echo 0123456789", v2=True)


def test_full_disk(phone: Any, adb_device: AdbDevice) -> None:
    adb_device.bed.fill_disk(1 << 16)
    with pytest.raises(adbutils.AdbError):
        phone.sync.push(bytes(1 << 20), f"{WORK}/file")
    assert not list((adb_device.root / "data/local/tmp").iterdir())


def test_refused_service(phone: Any, adb_device: AdbDevice) -> None:
    adb_device.bed.faults.refuse("shell")
    with pytest.raises(adbutils.AdbError, match="closed"):
        phone.shell("true")


def test_hung_shell(phone: Any, adb_device: AdbDevice) -> None:
    adb_device.bed.faults.hang("shell")
    with pytest.raises(adbutils.AdbTimeout):
        phone.shell("true", timeout=0.3)


def test_unauthorized_phone_is_not_listed_as_usable(adb_device: AdbDevice) -> None:
    adb_device.bed.faults.is_authorized = False
    adb_device.server.run("disconnect", adb_device.serial)
    adb_device.server.run("connect", adb_device.serial)
    client = adbutils.AdbClient(host="127.0.0.1", port=adb_device.server_port)
    assert client.device_list() == []
    assert [found.state for found in client.list()] == ["unauthorized"]
