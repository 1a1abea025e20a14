"""The preparation is atomic, happens once, and is the only part that needs the network."""

import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.adb_bed.bed import AdbBed
from tests.adb_bed.prepare import NotPrepared, cache_folder, find_prepared, prepare
from tests.adb_bed.sandbox import Proot, open_sandbox

# Stands in for apt-get, which needs the network: `update` is noted, `download` copies a package.
APT = """#!/bin/sh
case "$*" in
    *update) echo update >> "$BED_APT/calls" ;;
    *"download busybox-static") cp "$BED_APT"/*.deb . 2>/dev/null || {
        echo "E: Unable to locate package busybox-static" >&2; exit 100; } ;;
    *) exit 1 ;;
esac
"""


@pytest.fixture
def apt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a package and an apt-get that finds it; the cache is empty."""
    busybox = find_prepared().busybox
    folder = tmp_path / "apt"
    program = folder / "bin/apt-get"
    program.parent.mkdir(parents=True)
    program.write_text(APT)
    program.chmod(0o755)
    tree = folder / "tree"
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "DEBIAN/control").write_text(
        "Package: busybox-static\nVersion: 1\nArchitecture: arm64\nMaintainer: a\nDescription: b\n"
    )
    (tree / "bin").mkdir()
    (tree / "bin/busybox").write_bytes(busybox.read_bytes())
    (tree / "bin/busybox").chmod(0o755)
    package = folder / "busybox-static_1_arm64.deb"
    build = ["dpkg-deb", "--build", "-Znone", str(tree), str(package)]
    subprocess.run(build, check=True, capture_output=True, timeout=20)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("BED_APT", str(folder))
    return folder


def test_cache_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder().is_relative_to(tmp_path / "edge-pipeline")
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    assert cache_folder().is_relative_to(Path.home() / ".cache/edge-pipeline")


def test_missing_cache_says_what_to_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    with pytest.raises(NotPrepared, match=r"python -m tests\.adb_bed\.prepare"):
        AdbBed()


def test_missing_emulator_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(NotPrepared, match="apt-get install qemu-user-static"):
        find_prepared()


def test_prepared_folder_makes_a_sandbox(apt: Path, tmp_path: Path) -> None:
    prepare()
    assert "sha256sum" in find_prepared().applets
    (tmp_path / "sandbox").mkdir()
    sandbox = open_sandbox(tmp_path / "sandbox")
    assert sandbox.run("uname -m") == "aarch64\n"
    sandbox.close()


def test_several_at_once_prepare_once(apt: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        folders = set(pool.map(lambda _: prepare(), range(4)))
    assert folders == {cache_folder()}
    assert (apt / "calls").read_text() == "update\n"
    assert sorted(path.name for path in cache_folder().parent.iterdir()) == ["1", "lock"]


def test_failed_preparation_leaves_nothing(apt: Path) -> None:
    for package in apt.glob("*.deb"):
        package.unlink()
    with pytest.raises(NotPrepared, match="Unable to locate package busybox-static"):
        prepare()
    assert [path.name for path in cache_folder().parent.iterdir()] == ["lock"]


def test_command_reports_a_failure(apt: Path) -> None:
    for package in apt.glob("*.deb"):
        package.write_bytes(b"not a package")
    command = [sys.executable, "-m", "tests.adb_bed.prepare"]
    root = Path(__file__).parents[3]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=root)
    assert done.returncode == 1
    assert done.stderr.startswith("error: dpkg-deb failed: ")
    assert done.stderr.count("\n") == 1


def test_sandbox_that_cannot_start_gives_every_reason(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    find_prepared()  # skips if there is nothing
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("qemu-aarch64-static", "nsenter"):
        (tools / name).symlink_to(shutil.which(name) or "/missing")
    (tools / "unshare").write_text("#!/bin/sh\necho unshare: Operation not permitted >&2\nexit 1\n")
    (tools / "unshare").chmod(0o755)
    monkeypatch.setenv("PATH", str(tools))
    with pytest.raises(NotPrepared, match="Operation not permitted; proot is missing"):
        AdbBed()


def test_proot_takes_over_where_namespaces_are_locked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    AdbBed("proot").close()  # skips without proot
    unshare = tmp_path / "unshare"
    unshare.write_text("#!/bin/sh\nexit 1\n")
    unshare.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    bed = AdbBed()
    try:
        assert isinstance(bed.sandbox, Proot)
        with pytest.raises(NotPrepared, match="namespaces"):
            bed.fill_disk()
        with pytest.raises(NotPrepared, match="namespaces"):
            bed.set_abi("x86_64")
    finally:
        bed.close()
