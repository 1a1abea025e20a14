"""The sandbox runs AArch64 programs only, keeps paths inside, and leaves nothing behind."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.adb_bed.bed import WORK, AdbBed, wait_until
from tests.adb_bed.prepare import find_prepared
from tests.adb_bed.sandbox import resolve
from tests.adb_bed.shell import exit_byte

LIMIT_S = 10


@pytest.fixture(scope="module", params=["namespaces", "proot"])
def bed(request: pytest.FixtureRequest) -> Iterator[AdbBed]:
    bed = AdbBed(request.param)
    yield bed
    bed.close()


def run(bed: AdbBed, command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        bed.sandbox.command(command),
        env=bed.sandbox.environment(),
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
    )


def start(bed: AdbBed, command: str) -> subprocess.Popen[bytes]:
    """Start a command that goes on; proot ends only after all that it runs."""
    return subprocess.Popen(
        bed.sandbox.command(command),
        env=bed.sandbox.environment(),
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )


def test_shell_runs_programs_of_aarch64(bed: AdbBed) -> None:
    done = run(bed, "uname -m; busybox | head -n 1; echo error >&2; exit 7")
    assert done.stdout.startswith("aarch64\nBusyBox")
    assert (done.stderr, done.returncode) == ("error\n", 7)


def test_shell_has_the_variables_of_a_phone(bed: AdbBed) -> None:
    assert run(bed, "echo $TMPDIR $ANDROID_DATA; pwd; getprop ro.product.cpu.abi").stdout == (
        "/data/local/tmp /data\n/\narm64-v8a\n"
    )


def test_pushed_program_runs_by_its_path_and_from_a_script(bed: AdbBed) -> None:
    folder = bed.sandbox.on_host(WORK)
    shutil.copy(find_prepared().busybox, folder / "busybox")
    (folder / "script").write_text('#!/system/bin/sh\nexec ./busybox echo "$@"\n')
    (folder / "script").chmod(0o755)
    assert run(bed, f"cd {WORK} && ./script 'a b' c").stdout == "a b c\n"


def test_sensors_are_where_a_phone_has_them(bed: AdbBed) -> None:
    names = ("thermal/thermal_zone0/type", "power_supply/battery/capacity")
    done = run(bed, f"cd /sys/class && cat {' '.join(names)}; grep -c 'part.*0xd05' /proc/cpuinfo")
    assert done.stdout == "cpu-little\n85\n4\n"


def test_processes_are_those_of_the_sandbox(bed: AdbBed) -> None:
    process = start(bed, "sleep 61")
    wait_until(lambda: bed.processes("61"))
    for pid in bed.processes("61"):
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not bed.processes("61"))
    assert process.wait(LIMIT_S) in (-signal.SIGKILL, 128 + signal.SIGKILL, 255)


@pytest.mark.parametrize("kind", ["namespaces", "proot"])
def test_no_process_and_no_file_outlives_the_sandbox(kind: str) -> None:
    bed = AdbBed(kind)
    process = start(bed, "setsid sleep 62")
    wait_until(lambda: bed.processes("62"))
    pids, folder = bed.processes("62"), Path(bed._folder.name)
    assert folder.exists()
    bed.close()
    process.wait(LIMIT_S)
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids))
    assert not folder.exists()


def test_a_program_outlives_its_shell(adb_bed: AdbBed) -> None:
    adb_bed.require_namespaces()
    run(adb_bed, "setsid sleep 63 </dev/null >/dev/null 2>&1 &")
    wait_until(lambda: adb_bed.processes("63"))


def test_sandbox_ends_with_a_killed_test(tmp_path: Path) -> None:
    AdbBed("namespaces").close()  # skips where there are none
    program = (
        "from tests.adb_bed.bed import AdbBed\nimport time\n"
        "bed = AdbBed('namespaces')\nprint(bed.sandbox.holder, flush=True)\ntime.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[3],
        env={**os.environ, "TMPDIR": str(tmp_path)},  # where it leaves its folder
    ) as process:
        assert process.stdout is not None
        holder = Path(f"/proc/{int(process.stdout.readline())}/ns")
        assert holder.exists()
        process.kill()
    wait_until(lambda: not holder.exists())


def test_orphans_leave_no_zombies(adb_bed: AdbBed) -> None:
    run(adb_bed, "(sh -c 'exit 3' &) ; (sleep 0.05 &)")
    wait_until(lambda: not adb_bed.sandbox.processes())


def test_only_data_can_be_written(adb_bed: AdbBed) -> None:
    adb_bed.require_namespaces()
    done = run(adb_bed, "echo 1 > /file; echo 1 > /system/bin/file; echo 1 > /sys/file; ls /data")
    assert done.stderr.count("Read-only file system") == 3


def test_programs_of_other_processors_are_refused_as_on_a_phone(adb_bed: AdbBed) -> None:
    adb_bed.require_namespaces()
    shutil.copy(shutil.which("true") or "", adb_bed.root / "data/local/tmp/foreign")
    done = run(adb_bed, f"cd {WORK} && ./foreign --flag")
    assert done.returncode == 126
    assert done.stderr == "/system/bin/sh: ./foreign: not executable: 64-bit ELF file\n"


def test_phone_with_another_processor_refuses_aarch64(adb_bed: AdbBed) -> None:
    program = adb_bed.root / "data/local/tmp/program"
    shutil.copy(find_prepared().busybox, program)
    assert run(adb_bed, f"{WORK}/program true").stderr == "program: applet not found\n"
    adb_bed.set_abi("x86_64")
    done = run(adb_bed, f"getprop ro.product.cpu.abi; {WORK}/program true")
    assert (done.stdout, done.returncode) == ("x86_64\n", 126)
    assert "not executable: 64-bit ELF file" in done.stderr


def test_data_is_really_full(adb_bed: AdbBed) -> None:
    adb_bed.fill_disk(1 << 20)
    done = run(adb_bed, f"dd if=/dev/zero of={WORK}/file bs=64k count=32")
    assert "No space left on device" in done.stderr
    assert (adb_bed.root / "data/local/tmp/file").stat().st_size == 1 << 20


@given(st.lists(st.sampled_from(["..", "a", "up", "out", ".", "loop", ""]), max_size=12))
def test_no_path_leaves_the_root(
    tmp_path_factory: pytest.TempPathFactory, parts: list[str]
) -> None:
    root = tmp_path_factory.getbasetemp() / "resolved"
    if not root.exists():
        (root / "a").mkdir(parents=True)
        (root / "up").symlink_to("../../../../..")
        (root / "out").symlink_to("/etc/../..")
        (root / "a" / "out").symlink_to("/a")
        (root / "loop").symlink_to("loop")
    try:
        found = resolve(root, "/".join(parts), follow=True)
    except OSError:
        assert "loop" in parts
        return
    assert found.is_relative_to(root)
    assert ".." not in found.parts
    assert not found.is_symlink()


@pytest.mark.parametrize(("code", "byte"), [(0, 0), (7, 7), (255, 255), (-11, 139), (-9, 137)])
def test_exit_codes_are_those_of_a_phone(code: int, byte: int) -> None:
    assert exit_byte(code) == byte
