"""The prepared machine's folder: manifests, locks, and preparations that fail."""

import multiprocessing
import os
from datetime import UTC, datetime

import pytest

from edge_pipeline.cli.main import main
from edge_pipeline.errors import InputError, JobError
from edge_pipeline.harness.devices.arm_parts import processor_name
from edge_pipeline.harness.devices.requirements import requirements_of
from edge_pipeline.harness.emulation import prepare as preparing
from edge_pipeline.harness.emulation.place import (
    BACKENDS,
    Prepared,
    emulator_folder,
    locked,
    read_prepared,
)
from edge_pipeline.harness.emulation.processor import write_processor
from edge_pipeline.harness.emulation.tree import add_wheels, unpack_debian


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return emulator_folder()


def _prepared(folder, tree="tree-1", **changes):
    python = folder / tree / "root" / "usr" / "bin" / "python3.11"
    python.parent.mkdir(parents=True)
    python.touch()
    fields = {
        "tree": tree, "python": "usr/bin/python3.11",
        "requirements": tuple(requirements_of(*BACKENDS)), "qemu": "7", "cores": 2,
        "packages": {}, "wheels": {"onnxruntime": "1", "ai-edge-litert": "2"},
        "prepared": datetime(2026, 1, 1, tzinfo=UTC),
    }  # fmt: skip
    return Prepared(**(fields | changes))


def test_the_folder_is_in_the_users_cache(folder, tmp_path, monkeypatch):
    assert folder == tmp_path / "cache" / "edge-pipeline" / "emulator"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert emulator_folder() == tmp_path / ".cache" / "edge-pipeline" / "emulator"


def test_a_manifest_is_read_back(folder):
    made = _prepared(folder)
    made.write()
    assert read_prepared() == made
    assert sorted(path.name for path in folder.iterdir()) == ["manifest.json", "tree-1"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda path: path.unlink(), "is not prepared"),
        (lambda path: path.write_bytes(b"{\xff"), "cannot be read"),
        (lambda path: path.write_text("{}"), "cannot be read"),
        (lambda path: path.write_text(path.read_text().replace("numpy==", "numpy==9")), "another"),
        (lambda path: path.write_text(path.read_text().replace("tree-1", "tree-2")), "another"),
    ],
)
def test_a_machine_that_cannot_be_used_names_the_command(folder, change, message, capsys):
    _prepared(folder).write()
    change(folder / "manifest.json")
    with pytest.raises(InputError, match=message) as caught:
        read_prepared()
    assert str(caught.value).endswith("run: edge-pipeline devices --prepare emulator")
    assert "\n" not in str(caught.value)


def test_bench_without_preparation_ends_with_two(tmp_path, capsys, monkeypatch):
    module = "edge_pipeline.harness.devices.emulator"
    monkeypatch.setattr(f"{module}.missing_programs", lambda: None)
    assert main(["bench", str(tmp_path), "--device", "emulator"]) == 2
    assert "devices --prepare emulator" in " ".join(capsys.readouterr().err.split())
    assert main(["bench", str(tmp_path), "--device", "emulator:1"]) == 2
    assert "no address, got '1'" in capsys.readouterr().err


def _hold(exclusive, is_held, done, cache):
    os.environ["XDG_CACHE_HOME"] = cache
    with locked(exclusive=exclusive):
        is_held.set()
        done.wait(20)


@pytest.mark.parametrize(
    ("first", "second", "works"),
    [(False, False, True), (False, True, False), (True, False, False), (True, True, False)],
)
def test_a_preparation_excludes_use_and_use_excludes_a_preparation(first, second, works, tmp_path):
    context = multiprocessing.get_context("fork")
    is_held, done = context.Event(), context.Event()
    other = context.Process(target=_hold, args=(first, is_held, done, str(tmp_path / "cache")))
    other.start()
    try:
        assert is_held.wait(20)
        if works:
            with locked(exclusive=second):
                pass
        else:
            with pytest.raises(InputError, match="by another process"), locked(exclusive=second):
                pass
    finally:
        done.set()
        other.join()


def _program(folder, name, script):
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


@pytest.fixture
def programs(tmp_path, monkeypatch):
    made = tmp_path / "programs"
    made.mkdir()
    for name in ("apt-get", "dpkg-deb", "qemu-aarch64", "gcc"):
        _program(made, name, "exit 1")
    monkeypatch.setenv("PATH", f"{made}{os.pathsep}{os.environ['PATH']}")
    return made


def test_a_failed_download_keeps_the_old_machine_and_leaves_nothing(folder, programs, capsys):
    old = _prepared(folder)
    old.write()
    assert main(["devices", "--prepare", "emulator"]) == 1
    assert "cannot be downloaded with apt-get; check the network" in capsys.readouterr().err
    assert read_prepared() == old
    assert sorted(path.name for path in folder.iterdir()) == ["lock", "manifest.json", "tree-1"]


def test_a_preparation_replaces_the_old_machine(folder, programs, monkeypatch, capsys):
    _prepared(folder).write()
    (folder / "tree-left").mkdir()

    def build(tree, on_step):
        on_step("building")
        tree.rmdir()
        return _prepared(folder, tree.name)

    monkeypatch.setattr(preparing, "_built", build)
    assert main(["devices", "--prepare", "emulator"]) == 0
    found = read_prepared()
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        ["lock", "manifest.json", found.tree]
    )
    assert str(found.folder) in capsys.readouterr().out


def test_missing_programs_are_named_with_their_packages(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["devices", "--prepare", "emulator"]) == 2
    told = " ".join(capsys.readouterr().err.split())
    assert "requires apt-get, dpkg-deb, qemu-aarch64, gcc" in told
    assert "apt-get install apt dpkg qemu-user gcc" in told


def test_packages_are_unpacked_and_listed(tmp_path, programs):
    """A fake apt-get writes archives, and a fake dpkg-deb unpacks them."""
    _program(
        programs,
        "apt-get",
        'for w in "$@"; do case $w in Dir::Cache=*) c=${w#*=};; install) i=1;; esac; done\n'
        'if [ -n "$i" ]; then for p in python3.11-minimal_3.11.2-6_arm64 a_1%3a2_all; do\n'
        '  : > "$c/archives/$p.deb"; done; fi',
    )
    _program(
        programs, "dpkg-deb", 'mkdir -p "$3/usr/bin" "$3/usr/lib"; : > "$3/usr/bin/python3.11"'
    )
    work = tmp_path / "work"
    work.mkdir()
    python, versions = unpack_debian(work)
    assert python == "usr/bin/python3.11"
    assert versions == {"a": "1:2", "python3.11-minimal": "3.11.2-6"}
    assert (work / "root" / "lib").resolve() == work / "root" / "usr" / "lib"


def test_an_unsupported_python_is_refused(tmp_path, programs):
    _program(programs, "apt-get", "exit 0")
    work = tmp_path / "work"
    work.mkdir()
    with pytest.raises(InputError, match=r"none of 3\.11, 3\.12, 3\.13"):
        unpack_debian(work)


def test_wheels_that_do_not_exist_are_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    with pytest.raises(JobError, match="wheels cannot be downloaded with pip; check the network"):
        add_wheels(tmp_path, "usr/bin/python3.11", ["no-such-package==1"])


@pytest.mark.parametrize("cores", [1, 4])
def test_the_processors_files_agree(tmp_path, cores):
    write_processor(tmp_path, cores)
    assert processor_name((tmp_path / "proc/cpuinfo").read_text()) == f"{cores} x Cortex-A76"
    cpus = tmp_path / "sys/devices/system/cpu"
    assert len(list(cpus.glob("cpu[0-9]*"))) == cores
    assert (cpus / "online").read_text() == ("0\n" if cores == 1 else "0-3\n")
