"""Temporary folders of processes that were killed are collected at the next write."""

import errno
import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from edge_pipeline.files import atomic_file, atomic_folder
from tests.fakes.folders import snapshot, write_folder

_PROC = pytest.mark.skipif(not Path("/proc/self").exists(), reason="no /proc on this system")


_WRITER = """
import sys, time
from pathlib import Path
from edge_pipeline.files import atomic_folder
with atomic_folder(Path(sys.argv[1]), replace=False) as temporary:
    (temporary / "part").write_bytes(b"half")
    print("writing", flush=True)
    time.sleep(600)
"""


_FILE_WRITER = """
import sys, time
from pathlib import Path
from edge_pipeline.files import atomic_file
with atomic_file(Path(sys.argv[1])) as temporary:
    temporary.write_bytes(b"half")
    print("writing", flush=True)
    time.sleep(600)
"""


@contextmanager
def _other_process(path: Path, program: str = _WRITER) -> Iterator[subprocess.Popen[bytes]]:
    """A process that is in the middle of writing the folder or the file `path`."""
    command = [sys.executable, "-c", program, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"writing\n"
            yield process
        finally:
            process.kill()


def _write_file(path: Path) -> None:
    with atomic_file(path) as temporary:
        temporary.write_bytes(b"new")


class TestFiles:
    def test_the_file_of_a_killed_process_is_collected_at_the_next_write(
        self, tmp_path: Path
    ) -> None:
        with _other_process(tmp_path / "killed.jpg", _FILE_WRITER):
            pass
        (left,) = tmp_path.iterdir()
        assert left.name.startswith(".")
        assert (left / "killed.jpg").read_bytes() == b"half"
        _write_file(tmp_path / "out.jpg")
        assert snapshot(tmp_path) == {"out.jpg": b"new"}

    def test_the_file_of_a_live_process_is_not(self, tmp_path: Path) -> None:
        with _other_process(tmp_path / "live.jpg", _FILE_WRITER):
            _write_file(tmp_path / "out.jpg")
            assert [part.read_bytes() for part in tmp_path.glob(".*/live.jpg")] == [b"half"]

    def test_files_that_this_process_writes_are_not(self, tmp_path: Path) -> None:
        with atomic_file(tmp_path / "a") as outer:
            _write_file(tmp_path / "b")
            write_folder(tmp_path / "c")
            outer.write_bytes(b"x")
        assert {entry.name for entry in tmp_path.iterdir()} == {"a", "b", "c"}

    def test_a_batch_searches_its_folder_once(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        searched = []
        true = Path.iterdir
        monkeypatch.setattr(Path, "iterdir", lambda path: searched.append(path) or true(path))
        for name in "abc":
            _write_file(tmp_path / name)
        assert searched.count(tmp_path) == 1


class TestCollection:
    def test_what_a_killed_process_left_is_collected_at_the_next_write(
        self, tmp_path: Path
    ) -> None:
        with _other_process(tmp_path / "killed"):
            pass
        (left,) = tmp_path.iterdir()
        assert (left / "part").read_bytes() == b"half"
        write_folder(tmp_path / "out")
        assert snapshot(tmp_path) == {"out": None, "out/deep": None, "out/deep/a": b"new"}

    def test_what_a_live_process_writes_is_not(self, tmp_path: Path) -> None:
        with _other_process(tmp_path / "live"):
            (part,) = tmp_path.glob(".*/part")
            write_folder(tmp_path / "out")
            assert part.read_bytes() == b"half"

    def test_what_this_process_writes_is_not(self, tmp_path: Path) -> None:
        with atomic_folder(tmp_path / "outer", replace=False) as temporary:
            write_folder(tmp_path / "inner")
            (temporary / "part").write_bytes(b"x")
        assert (tmp_path / "outer" / "part").exists()

    def test_what_it_replaced_is(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        write_folder(tmp_path / "out")
        with monkeypatch.context() as patch:
            patch.setattr(shutil, "rmtree", lambda *_, **__: None)  # as if killed before
            write_folder(tmp_path / "out")
        assert len(list(tmp_path.iterdir())) == 2
        write_folder(tmp_path / "other")
        assert {entry.name for entry in tmp_path.iterdir()} == {"out", "other"}

    @pytest.mark.parametrize("kind", ["file", "link", "folder of another name"])
    def test_what_is_somebody_elses_is_not(self, tmp_path: Path, kind: str) -> None:
        left, real = tmp_path / ".out-0123456789abcdef.unfinished", tmp_path / "real"
        real.mkdir()
        if kind == "file":
            left.touch()
        elif kind == "link":
            left.symlink_to(real)
        else:
            left = left.with_name(".out-mine.unfinished")
            left.mkdir()
        write_folder(tmp_path / "new")
        assert os.path.lexists(left)
        assert real.exists()

    def test_a_folder_that_is_collected_before_it_is_locked_is_made_anew(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        true, calls = fcntl.flock, []

        def late(descriptor: int, operation: int) -> None:
            calls.append(operation)
            if len(calls) == 1:  # its own, which another process now collects first
                shutil.rmtree(next(tmp_path.glob(".*")))
            true(descriptor, operation)

        monkeypatch.setattr(fcntl, "flock", late)
        write_folder(tmp_path / "out")
        assert len(calls) == 2
        assert snapshot(tmp_path) == {"out": None, "out/deep": None, "out/deep/a": b"new"}

    def test_a_file_system_without_locks(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(*_: int) -> None:
            raise OSError(errno.ENOLCK, "No locks available")

        monkeypatch.setattr(fcntl, "flock", refuse)
        with atomic_folder(tmp_path / "outer", replace=False) as temporary:
            write_folder(tmp_path / "inner")
            assert temporary.exists()
