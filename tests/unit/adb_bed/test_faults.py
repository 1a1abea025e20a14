"""Each fault, and what the two real clients report of it."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.adb_bed.bed import WORK, AdbBed, wait_until
from tests.adb_bed.faults import Faults
from tests.adb_bed.fixtures import AdbDevice
from tests.adb_bed.prepare import find_prepared
from tests.adb_bed.server import AdbServer
from tests.unit.adb_bed.conftest import Client

MEBIBYTE = bytes(range(256)) * 4096


def texts(done: subprocess.CompletedProcess[bytes]) -> str:
    return (done.stdout + done.stderr).decode()


def left_over(bed: AdbBed) -> list[str]:
    return sorted(path.name for path in (bed.root / "data/local/tmp").iterdir())


def push(client: Client, folder: Path) -> subprocess.CompletedProcess[bytes]:
    (folder / "file").write_bytes(MEBIBYTE)
    return client.run("push", str(folder / "file"), f"{WORK}/file")


def test_link_lost_in_a_push(client: Client, tmp_path: Path) -> None:
    client.bed.faults.drop_link("push", after_bytes=300_000)
    done = push(client, tmp_path)
    assert done.returncode == 1
    assert "error" in texts(done)
    assert client.bed.faults.happened == ["drop push"]
    wait_until(lambda: left_over(client.bed) == [])


def test_link_lost_in_a_pull(client: Client, tmp_path: Path) -> None:
    (client.bed.root / "data/local/tmp/file").write_bytes(MEBIBYTE)
    client.bed.faults.drop_link("pull", after_bytes=300_000)
    done = client.run("pull", f"{WORK}/file", str(tmp_path / "file"))
    assert done.returncode == 1
    assert not (tmp_path / "file").exists()


def test_link_lost_in_a_shell_may_look_like_success(client: Client) -> None:
    client.bed.faults.drop_link("shell", after_bytes=6)
    done = client.shell("echo first; sleep 0.2; echo second")
    assert b"second" not in done.stdout
    assert done.returncode == {"debian": 0, "adbutils": 255}[client.name]


def test_link_lost_in_exec_out_looks_like_success(client: Client) -> None:
    client.bed.faults.drop_link("exec", after_bytes=6)
    done = client.run("exec-out", "echo first; sleep 0.2; echo second")
    assert (b"second" in done.stdout, done.returncode) == (False, 0)


def test_device_is_there_again_after_a_lost_link(client: Client) -> None:
    client.bed.faults.drop_link("shell")
    client.shell("true")
    assert client.reconnect().startswith(b"connected")
    assert client.shell("echo again").stdout == b"again\n"


def test_device_that_is_gone_until_it_is_plugged_in(client: Client) -> None:
    client.bed.faults.drop_link("shell", gone=True)
    client.shell("true")
    said = client.reconnect()
    assert b"onnection refused" in said
    assert client.shell("true").returncode == 1
    client.bed.plug()
    assert client.reconnect().startswith(b"connected")
    assert client.shell("echo again").stdout == b"again\n"


def test_full_disk_in_a_push(client: Client, tmp_path: Path) -> None:
    client.bed.fill_disk(1 << 18)
    done = push(client, tmp_path)
    assert done.returncode == 1
    assert "No space left on device" in texts(done)
    assert left_over(client.bed) == []


def test_full_disk_in_a_shell(client: Client) -> None:
    client.bed.fill_disk(1 << 16)
    done = client.shell(f"dd if=/dev/zero of={WORK}/file bs=1000000 count=1")
    assert done.returncode != 0
    assert b"No space left on device" in done.stderr


def test_program_for_another_processor(client: Client, tmp_path: Path) -> None:
    client.bed.require_namespaces()
    shutil.copy(shutil.which("true") or "", tmp_path / "program")
    client.run("push", str(tmp_path / "program"), WORK)
    done = client.shell(f"{WORK}/program")
    assert done.returncode == 126
    assert b"not executable: 64-bit ELF file" in done.stderr


def test_program_that_crashes(client: Client) -> None:
    shutil.copy(find_prepared().busybox, client.bed.root / "data/local/tmp/sleep")
    client.bed.crash("sleep")
    done = client.shell(f"{WORK}/sleep 20; echo code $?")
    assert done.stdout == b"code 139\n"
    assert client.bed.faults.happened == [f"signal {int(signal.SIGSEGV)} sleep"]


def test_program_that_hangs(client: Client) -> None:
    client.bed.require_namespaces()
    shutil.copy(find_prepared().busybox, client.bed.root / "data/local/tmp/sleep")
    client.bed.freeze("sleep")
    with pytest.raises(subprocess.TimeoutExpired):
        client.run("shell", f"{WORK}/sleep 0.3", limit_s=1)
    assert client.bed.running("sleep")


def test_shell_that_hangs(client: Client) -> None:
    client.bed.faults.hang("echo")
    with pytest.raises(subprocess.TimeoutExpired):
        client.run("shell", "echo text", limit_s=0.5)
    assert client.shell("echo text").stdout == b"text\n"


def test_pull_that_changes_bytes_is_not_noticed(client: Client, tmp_path: Path) -> None:
    (client.bed.root / "data/local/tmp/file").write_bytes(MEBIBYTE)
    client.bed.faults.corrupt("pull", "file")
    for is_right in (False, True):
        assert client.run("pull", f"{WORK}/file", str(tmp_path / "file")).returncode == 0
        got = (tmp_path / "file").read_bytes()
        assert (len(got), got == MEBIBYTE) == (len(MEBIBYTE), is_right)


def test_push_that_changes_bytes_is_not_noticed(client: Client, tmp_path: Path) -> None:
    client.bed.faults.corrupt("push")
    assert push(client, tmp_path).returncode == 0
    stored = (client.bed.root / "data/local/tmp/file").read_bytes()
    assert (len(stored), stored == MEBIBYTE) == (len(MEBIBYTE), False)


@pytest.mark.parametrize(("service", "code"), [("shell", 1), ("exec-out", 255)])
def test_refused_service(client: Client, service: str, code: int) -> None:
    client.bed.faults.refuse("true")
    done = client.run(service, "true")
    assert done.returncode == code
    assert "closed" in texts(done)


def test_unauthorized_until_a_person_allows_it(client: Client) -> None:
    client.bed.faults.is_authorized = False
    said = client.reconnect()
    assert b"failed to authenticate" in said or b"connected" in said
    done = client.shell("true")
    assert done.returncode == 1
    assert "unauthorized" in texts(done)
    client.bed.authorize()
    wait_until(lambda: client.shell("echo yes").stdout == b"yes\n")


def test_offline(client: Client) -> None:
    client.bed.go_offline()

    def state() -> str:
        lines = client.server.run("devices").stdout.decode().splitlines()
        return next((line.split()[1] for line in lines if client.bed.serial in line), "")

    wait_until(lambda: state() != "device")
    assert client.shell("true").returncode == 1
    client.bed.faults.answers = True
    client.bed.drop_links()
    # The server may be trying to connect by itself, and then first says something else.
    wait_until(lambda: client.reconnect().startswith(b"connected"))


def test_late_answers(client: Client) -> None:
    client.bed.faults.delay_s = 0.15
    begin = time.monotonic()
    assert client.shell("echo late").stdout == b"late\n"
    assert time.monotonic() - begin > 0.45  # it opens, prints and ends


def test_battery_low_and_throttled(client: Client) -> None:
    client.bed.sensors.set_battery(4)
    client.bed.sensors.throttle(4)
    assert b"  level: 4\n" in client.shell("dumpsys battery").stdout
    assert b"Thermal Status: 4\n" in client.shell("dumpsys thermalservice").stdout


def test_server_that_is_killed(adb_bed: AdbBed, any_server: AdbServer, tmp_path: Path) -> None:
    server = AdbServer(any_server.adb, tmp_path)
    try:
        server.run("connect", adb_bed.serial)
        adb = [str(server.adb), "-P", str(server.port), "-s", adb_bed.serial, "shell", "sleep 20"]
        with subprocess.Popen(adb, env=server.environment, stdin=subprocess.DEVNULL) as process:
            wait_until(lambda: adb_bed.processes("sleep 20"))
            server.stop()
            assert process.wait(10) == (255 if "adbutils" in str(server.adb) else 0)
        wait_until(lambda: not adb_bed.processes("sleep 20"))  # the device notices
        server.start()
        assert server.run("connect", adb_bed.serial).stdout.startswith(b"connected")
        assert server.run("-s", adb_bed.serial, "shell", "echo new").stdout == b"new\n"
    finally:
        server.stop()


def test_fixture_has_what_it_promises(adb_device: AdbDevice, tmp_path: Path) -> None:
    assert os.environ["ANDROID_ADB_SERVER_PORT"] == str(adb_device.server_port)
    assert adb_device.serial == f"127.0.0.1:{adb_device.bed.port}"
    assert left_over(adb_device.bed) == []
    done = adb_device.server.run("-s", adb_device.serial, "shell", f"touch {WORK}/one")
    assert done.returncode == 0
    assert [path.name for path in (adb_device.root / "data/local/tmp").iterdir()] == ["one"]


def test_several_devices(connect_adb_device: Callable[[], AdbDevice]) -> None:
    one, two = connect_adb_device(), connect_adb_device()
    assert one.serial != two.serial
    for number, device in enumerate((one, two)):
        name = f"{WORK}/{number}"
        assert device.server.run("-s", device.serial, "shell", f"touch {name}").returncode == 0
    assert (left_over(one.bed), left_over(two.bed)) == (["0"], ["1"])


def test_server_of_the_fixture_may_be_ended(adb_device: AdbDevice) -> None:
    server = adb_device.server
    server.stop()
    assert server.run("connect", adb_device.serial).returncode == 0  # starts a server itself
    server.start()
    assert b"connected" in server.run("connect", adb_device.serial).stdout
    assert server.run("-s", adb_device.serial, "shell", "echo new").stdout == b"new\n"


def test_faults_occur_as_often_as_the_test_says() -> None:
    faults = Faults()
    faults.drop_link("push", after_bytes=10, times=2)
    assert [bool(faults.cuts("push", 6)) for _ in range(5)] == [False, True, False, True, False]
    faults.refuse("sync", times=2)
    assert [faults.refuses("sync:") for _ in range(3)] == [True, True, False]
    faults.corrupt("pull", "x")
    assert [faults.corrupts("push", "x"), faults.corrupts("pull", "x")] == [False, True]
    faults.hang("a")
    faults.clear()
    assert not faults.hangs("a")


@pytest.mark.parametrize("method", ["drop_link", "corrupt"])
def test_unknown_service_is_refused(method: str) -> None:
    with pytest.raises(ValueError, match="'sync'"):
        getattr(Faults(), method)("sync")
