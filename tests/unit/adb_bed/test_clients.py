"""Two real adb clients use the device as they would use a phone."""

import hashlib
import os
import random
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.adb_bed.bed import WORK, wait_until
from tests.unit.adb_bed.conftest import Client

SIZES = (0, 1, 65535, 65536, 65537, 1 << 20, (1 << 20) + 1)


def content(size: int) -> bytes:
    return random.Random(size).randbytes(size)  # noqa: S311


def test_device_is_listed(client: Client) -> None:
    listed = client.server.run("devices", "-l").stdout.decode()
    assert f"{client.bed.serial} " in listed
    assert "device product:bed model:Test_Bed_8 device:bed" in listed


def test_features_are_understood(client: Client) -> None:
    features = client.run("features").stdout.decode().split()
    assert set(features) >= {"shell_v2", "stat_v2", "ls_v2", "fixed_push_mkdir"}


def test_shell_separates_streams_and_reports_the_exit_code(client: Client) -> None:
    done = client.shell("echo out; echo err >&2; exit 7")
    assert (done.stdout, done.stderr, done.returncode) == (b"out\n", b"err\n", 7)


def test_shell_reports_a_signal(client: Client) -> None:
    client.bed.require_namespaces()
    assert client.shell("kill -SEGV $$").returncode == 139


def test_shell_streams_standard_input(client: Client) -> None:
    data = content(300_000)
    done = client.shell("sha256sum; cat", data=data)
    assert done.stdout.split()[0].decode() == hashlib.sha256(data).hexdigest()


def test_shell_ends_if_the_command_ignores_its_input(client: Client) -> None:
    assert client.shell("exit 5", data=content(1 << 20)).returncode == 5


def test_shell_without_a_command_reads_commands(client: Client) -> None:
    done = client.run("shell", data=b"echo one\nexit 3\n")
    assert (done.stdout, done.returncode) == (b"one\n", 3)


def test_large_output_arrives_whole(client: Client) -> None:
    done = client.shell("head -c 3000000 /dev/zero")
    assert done.stdout == bytes(3_000_000)


def test_shell_of_version_1_mixes_streams(client: Client) -> None:
    done = client.run("shell", "-x", "echo out; echo err >&2; exit 7")
    assert (sorted(done.stdout.split()), done.stderr, done.returncode) == ([b"err", b"out"], b"", 0)


def test_getprop(client: Client) -> None:
    assert client.shell("getprop ro.product.cpu.abi").stdout == b"arm64-v8a\n"


def test_exec_out_is_binary(client: Client) -> None:
    done = client.run("exec-out", r"printf 'a\r\n\000\377b'")
    assert done.stdout == b"a\r\n\0\xffb"


def test_exec_in_is_binary(client: Client) -> None:
    data = content(200_000)
    client.run("exec-in", f"cat > {WORK}/in", data=data)
    file = client.bed.root / "data/local/tmp/in"
    # The client does not wait for the command.
    wait_until(lambda: file.exists() and file.stat().st_size == len(data))
    assert file.read_bytes() == data


def test_files_go_there_and_back(client: Client, tmp_path: Path) -> None:
    for size in SIZES:
        (tmp_path / f"{size}").write_bytes(content(size))
    names = [str(tmp_path / f"{size}") for size in SIZES]
    assert client.run("push", *names, WORK).returncode == 0
    for size in SIZES:
        assert (client.bed.root / "data/local/tmp" / str(size)).read_bytes() == content(size)
    (tmp_path / "back").mkdir()
    remote = [f"{WORK}/{size}" for size in SIZES]
    assert client.run("pull", *remote, str(tmp_path / "back")).returncode == 0
    assert all((tmp_path / "back" / str(size)).read_bytes() == content(size) for size in SIZES)


@pytest.mark.slow
def test_large_file_goes_there_and_back(client: Client, tmp_path: Path) -> None:
    data = content(50 << 20)
    (tmp_path / "large").write_bytes(data)
    assert client.run("push", str(tmp_path / "large"), f"{WORK}/large").returncode == 0
    assert (client.bed.root / "data/local/tmp/large").read_bytes() == data
    assert client.run("pull", f"{WORK}/large", str(tmp_path / "back")).returncode == 0
    assert (tmp_path / "back").read_bytes() == data


def test_mode_and_time_of_a_file_are_kept(client: Client, tmp_path: Path) -> None:
    file = tmp_path / "tool, with a comma"
    file.write_text("#!/system/bin/sh\necho ran\n")
    file.chmod(0o700)
    os.utime(file, (1_600_000_000, 1_600_000_000))
    client.run("push", str(file), WORK)
    found = (client.bed.root / "data/local/tmp" / file.name).stat()
    assert (oct(found.st_mode), found.st_mtime) == ("0o100777", 1_600_000_000)
    assert client.shell(f"'{WORK}/{file.name}'").stdout == b"ran\n"


def test_folders_go_there_and_back(client: Client, tmp_path: Path) -> None:
    source = tmp_path / "tree"
    for name in ("a/b/one", "a/two", "ünï/three four"):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text(name)
    (source / "empty").mkdir()
    assert client.run("push", str(source), WORK).returncode == 0
    there = client.bed.root / "data/local/tmp/tree"
    names = sorted(str(path.relative_to(there)) for path in there.rglob("*"))
    assert "ünï/three four" in names
    assert "empty" not in names  # as with phones
    assert client.run("pull", f"{WORK}/tree", str(tmp_path / "back")).returncode == 0
    assert (tmp_path / "back/a/b/one").read_text() == "a/b/one"
    assert (tmp_path / "back/ünï/three four").read_text() == "ünï/three four"


def test_absent_file_is_an_error(client: Client, tmp_path: Path) -> None:
    done = client.run("pull", f"{WORK}/absent", str(tmp_path / "absent"))
    assert done.returncode == 1
    assert b"No such file or directory" in done.stdout + done.stderr


def test_push_outside_the_data_is_refused(client: Client, tmp_path: Path) -> None:
    client.bed.require_namespaces()
    (tmp_path / "file").write_text("text")
    done = client.run("push", str(tmp_path / "file"), "/system/bin/file")
    assert done.returncode == 1
    assert b"Read-only file system" in done.stdout + done.stderr


def test_links_on_the_phone_do_not_lead_out(client: Client, tmp_path: Path) -> None:
    target = tmp_path / "target"
    client.shell(f"mkdir -p {WORK}{tmp_path}; ln -s {tmp_path} {WORK}/link")
    (tmp_path / "file").write_text("text")
    client.run("push", str(tmp_path / "file"), f"{WORK}/link/target")
    assert not target.exists()
    assert client.run("pull", f"{WORK}/link/file", str(tmp_path / "got")).returncode == 1


def test_several_at_once(client: Client, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(content(500_000))

    def work(number: int) -> bool:
        name = f"{WORK}/file{number}"
        is_pushed = client.run("push", str(tmp_path / "file"), name).returncode == 0
        said = client.shell(f"wc -c < {name}; exit {number}")
        return is_pushed and (said.stdout, said.returncode) == (b"500000\n", number)

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(work, range(1, 5)))


def test_killed_client_ends_its_shell_but_not_what_that_started(client: Client) -> None:
    client.bed.require_namespaces()
    command = "sh -c 'sleep 71; true' & sleep 72; echo end"
    adb = [str(client.server.adb), "-P", str(client.server.port), "-s", client.bed.serial]
    process = subprocess.Popen(
        [*adb, "shell", command], env=client.server.environment, stdin=subprocess.DEVNULL
    )
    wait_until(lambda: client.bed.processes(" sleep 72 ") and client.bed.processes(" sleep 71 "))
    process.kill()
    process.wait()
    wait_until(lambda: not client.bed.processes("echo end"))
    assert client.bed.processes(" sleep 71 ")


def test_unknown_services_are_refused(client: Client) -> None:
    done = client.run("reboot")
    assert done.returncode == 1
    assert b"error: closed" in done.stderr
