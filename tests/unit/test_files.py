"""Whole or absent: the property holds for every step that can fail."""

import errno
import hashlib
import os
import re
import resource
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_pipeline.errors import InputError, JobError, OutputError
from edge_pipeline.files import (
    MANIFEST_FILE,
    SEAL_FILE,
    atomic_file,
    atomic_folder,
    packaged,
    remove_unfinished,
    sha256_of,
)
from tests.fakes.folders import snapshot, write_folder

FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
_PROC = pytest.mark.skipif(not Path("/proc/self").exists(), reason="no /proc on this system")


@contextmanager
def _file_size_limit(size: int) -> Iterator[None]:
    """The kernel refuses to let any file grow beyond `size`: a failing disk that is real."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def _write_file(path: Path, failure: BaseException | None = None) -> None:
    with atomic_file(path) as temporary:
        temporary.write_bytes(b"new")
        if failure is not None:
            raise failure


def _fill(folder: Path) -> None:
    (folder / "small").write_bytes(b"x")
    (folder / "large").write_bytes(bytes(2000))


class TestAtomicFile:
    def test_writes_and_creates_folders(self, tmp_path: Path) -> None:
        path = tmp_path / "a" / "b" / "out.json"
        _write_file(path)
        assert path.read_bytes() == b"new"
        assert snapshot(path.parent) == {"out.json": b"new"}

    def test_replaces(self, tmp_path: Path) -> None:
        path = tmp_path / "out.json"
        path.write_bytes(b"a longer old content")
        _write_file(path)
        assert snapshot(tmp_path) == {"out.json": b"new"}

    def test_keeps_the_suffix_and_stays_on_the_file_system(self, tmp_path: Path) -> None:
        with atomic_file(tmp_path / "out.tiff") as temporary:
            assert temporary.suffix == ".tiff"
            assert temporary.parent.parent == tmp_path
            assert temporary.parent.name.startswith(".")
            temporary.write_bytes(b"x")
        assert snapshot(tmp_path) == {"out.tiff": b"x"}

    @pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
    def test_mode_follows_umask(self, tmp_path: Path, umask: int) -> None:
        before = os.umask(umask)
        try:
            _write_file(tmp_path / "out")
            write_folder(tmp_path / "folder")
        finally:
            os.umask(before)
        assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == 0o666 & ~umask
        assert stat.S_IMODE((tmp_path / "folder").stat().st_mode) == 0o777 & ~umask

    def test_longest_name_of_a_file_system(self, tmp_path: Path) -> None:
        path = tmp_path / ("x" * 250 + ".json")
        _write_file(path)
        assert path.read_bytes() == b"new"

    @pytest.mark.parametrize("failure", [FULL, KeyboardInterrupt(), ValueError("writer")])
    @pytest.mark.parametrize("old", [None, b"old"])
    def test_failing_block_leaves_nothing(
        self, tmp_path: Path, failure: BaseException, old: bytes | None
    ) -> None:
        path = tmp_path / "out"
        if old is not None:
            path.write_bytes(old)
        before = snapshot(tmp_path)
        expected = JobError if isinstance(failure, OSError) else type(failure)
        with pytest.raises(expected):
            _write_file(path, failure)
        assert snapshot(tmp_path) == before

    @pytest.mark.parametrize("step", ["fsync", "replace"])
    def test_failing_step_leaves_nothing(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
    ) -> None:
        path = tmp_path / "out"
        path.write_bytes(b"old")
        _fail(monkeypatch, step, 1, FULL)
        with pytest.raises(JobError, match=f"cannot write {path}: No space left on device"):
            _write_file(path)
        assert snapshot(tmp_path) == {"out": b"old"}

    def test_a_disk_that_refuses_leaves_nothing(self, tmp_path: Path) -> None:
        path = tmp_path / "out"
        with (
            _file_size_limit(1000),
            pytest.raises(JobError, match=f"cannot write {path}: File too large"),
            atomic_file(path) as temporary,
        ):
            temporary.write_bytes(bytes(2000))
        assert snapshot(tmp_path) == {}

    def test_names_the_other_file_that_failed(self, tmp_path: Path) -> None:
        other = tmp_path / "input.bin"
        with pytest.raises(OutputError, match=re.escape(str(other))), atomic_file(tmp_path / "out"):
            other.read_bytes()

    def test_writer_that_removes_its_file(self, tmp_path: Path) -> None:
        with pytest.raises(OutputError), atomic_file(tmp_path / "out") as temporary:
            temporary.unlink()
        assert snapshot(tmp_path) == {}

    def test_does_not_replace_a_folder(self, tmp_path: Path) -> None:
        (tmp_path / "out").mkdir()
        with pytest.raises(OutputError, match="is not a file"):
            _write_file(tmp_path / "out")

    @pytest.mark.parametrize("path", ["/", "."])
    def test_a_path_without_a_name(self, path: str) -> None:
        with pytest.raises(OutputError, match="give another name"):
            _write_file(Path(path))

    def test_does_not_replace_a_device(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(OutputError, match="is not a file"):
            _write_file(tmp_path / "pipe")
        assert (tmp_path / "pipe").is_fifo()

    def test_parent_is_a_file(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_bytes(b"x")
        with pytest.raises(OutputError, match="cannot create the folder"):
            _write_file(tmp_path / "file" / "out")

    @_PROC
    @pytest.mark.parametrize("path", ["/proc/out", "/proc/new/out"])
    def test_unwritable_place(self, path: str) -> None:
        with pytest.raises(OutputError, match=r"cannot (write|create)") as caught:
            _write_file(Path(path))
        assert isinstance(caught.value, InputError)

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
    def test_no_permission(self, tmp_path: Path) -> None:
        tmp_path.chmod(0o500)
        with pytest.raises(OutputError, match="Permission denied"):
            _write_file(tmp_path / "out")


class TestAtomicFolder:
    def test_writes(self, tmp_path: Path) -> None:
        write_folder(tmp_path / "a" / "out")
        assert snapshot(tmp_path / "a") == {"out": None, "out/deep": None, "out/deep/a": b"new"}

    def test_replaces_all_of_it(self, tmp_path: Path) -> None:
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "stale").write_bytes(b"old")
        write_folder(tmp_path / "out")
        assert snapshot(tmp_path) == {"out": None, "out/deep": None, "out/deep/a": b"new"}

    def test_relative_path(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        write_folder(Path("out"))
        assert (tmp_path / "out" / "deep" / "a").read_bytes() == b"new"

    def test_refuses_what_stands_there(self, tmp_path: Path) -> None:
        (tmp_path / "out").mkdir()
        with pytest.raises(OutputError, match="give --force"), _entering_folder(tmp_path / "out"):
            pytest.fail("the block must not run")

    @pytest.mark.parametrize("kind", ["file", "link"])
    def test_replaces_folders_only(self, tmp_path: Path, kind: str) -> None:
        (tmp_path / "real").mkdir()
        if kind == "file":
            (tmp_path / "out").write_bytes(b"old")
        else:
            (tmp_path / "out").symlink_to(tmp_path / "real")
        before = snapshot(tmp_path)
        with pytest.raises(OutputError, match="is not a folder"):
            write_folder(tmp_path / "out")
        assert snapshot(tmp_path) == before

    @pytest.mark.parametrize("failure", [FULL, KeyboardInterrupt()])
    @pytest.mark.parametrize(
        ("step", "call"), [("fsync", n) for n in (1, 2, 3)] + [("replace", 1), ("replace", 2)]
    )
    @pytest.mark.parametrize("exists", [False, True])
    def test_failing_step_leaves_what_was(
        self,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        failure: BaseException,
        step: str,
        call: int,
        exists: bool,
    ) -> None:
        if exists:
            (tmp_path / "out").mkdir()
            (tmp_path / "out" / "b").write_bytes(b"old")
        elif (step, call) == ("replace", 2):
            pytest.skip("a new folder is moved once")
        before = snapshot(tmp_path)
        _fail(monkeypatch, step, call, failure)
        with pytest.raises(JobError if isinstance(failure, OSError) else KeyboardInterrupt):
            write_folder(tmp_path / "out")
        assert snapshot(tmp_path) == before

    def test_a_disk_that_refuses_leaves_nothing(self, tmp_path: Path) -> None:
        with (
            _file_size_limit(1000),
            pytest.raises(JobError, match="File too large"),
            atomic_folder(tmp_path / "out", replace=False) as temporary,
        ):
            _fill(temporary)
        assert snapshot(tmp_path) == {}

    def test_folder_that_cannot_be_synced_is_no_failure(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # out, out/deep, out/deep/a, and then the parent, when the rename is done.
        _fail(monkeypatch, "fsync", 4, OSError(errno.EINVAL, "Invalid argument"))
        write_folder(tmp_path / "out")
        assert (tmp_path / "out" / "deep" / "a").read_bytes() == b"new"


@pytest.mark.parametrize("write", [_write_file, write_folder])
@pytest.mark.parametrize("inside", ["out", "deep/out", "../link/out"])
def test_nothing_is_written_into_an_artifact(
    tmp_path: Path, write: Callable[[Path], None], inside: str
) -> None:
    artifact = tmp_path / "artifact"
    (artifact / "deep").mkdir(parents=True)
    (tmp_path / "link").symlink_to(artifact / "deep")
    for name in (MANIFEST_FILE, SEAL_FILE):
        (artifact / name).write_bytes(b"x")
    before = snapshot(tmp_path)
    with pytest.raises(OutputError, match=f"lies inside the artifact {artifact}, which"):
        write(artifact / inside)
    assert snapshot(tmp_path) == before


def test_a_manifest_alone_makes_no_artifact(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_bytes(b"of a web page")
    write_folder(tmp_path / "out")


@contextmanager
def _entering_folder(path: Path) -> Iterator[None]:
    with atomic_folder(path, replace=False):
        yield


def _fail(monkeypatch: pytest.MonkeyPatch, step: str, call: int, failure: BaseException) -> None:
    """Let the `call`-th call of a step fail, and no other."""
    owner: Any = os if step == "fsync" else Path
    true: Callable[..., Any] = getattr(owner, step)
    calls = 0

    def faulty(*arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == call:
            raise failure
        return true(*arguments)

    monkeypatch.setattr(owner, step, faulty)


@given(st.binary(max_size=100), st.integers(1, 40_000))
def test_sha256_is_of_all_bytes(
    tmp_path_factory: pytest.TempPathFactory, piece: bytes, times: int
) -> None:
    path = tmp_path_factory.mktemp("hash") / "file"
    path.write_bytes(piece * times)
    assert sha256_of(path) == hashlib.sha256(piece * times).hexdigest()


def test_packaged_is_beside_the_package_in_a_checkout() -> None:
    assert packaged("calibration") == Path(__file__).resolve().parents[2] / "calibration"


def test_a_writer_that_makes_a_private_file_leaves_one_that_others_can_read(tmp_path):
    plain, private = tmp_path / "plain", tmp_path / "private"
    plain.touch()
    with atomic_file(private) as temporary:
        temporary.unlink()
        temporary.write_bytes(b"x")
        temporary.chmod(0o600)
    assert private.stat().st_mode == plain.stat().st_mode


def test_unfinished_files_are_removed_except_those_that_a_process_writes(tmp_path: Path) -> None:
    left = tmp_path / ".a-0123456789abcdef.unfinished"
    left.mkdir()
    (left / "a.jpg").touch()
    others = [".a-0123456789abcdef.jpg", "a-0123456789abcdef.unfinished"]
    for name in others:
        (tmp_path / name).touch()
    with atomic_file(tmp_path / "b.jpg") as temporary:
        remove_unfinished([tmp_path, tmp_path / "absent"])
        assert temporary.exists()
        assert not left.exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*others, "b.jpg"])
