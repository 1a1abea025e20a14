"""The process that runs LibRaw: a fault in it ends in one sentence, and file names are its data."""

import os
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from edge_pipeline import fault_log
from edge_pipeline.errors import CaptureError, JobError, StoppedError
from edge_pipeline.raw import reader
from edge_pipeline.raw.capture import read_capture
from tests.data_files import CHART
from tests.fakes.captures import refusal, scene, stand_in
from tests.fakes.dng import Dng, write_dng


def test_a_full_temporary_folder_is_a_failed_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_dng(tmp_path / "b.dng", scene("RGGB", (32, 32)), Dng())
    with pytest.raises(SystemExit) as caught:
        reader.main(path, tmp_path / "absent")
    assert caught.value.code == reader.CANNOT_STORE
    body = f"import sys; sys.stderr.write('No space left'); sys.exit({reader.CANNOT_STORE})"
    with pytest.raises(JobError, match=r"cannot hold it: No space left; make room"):
        read_capture(stand_in(body, tmp_path, monkeypatch))


def test_no_temporary_folder_is_a_failed_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_dng(tmp_path / "a.dng", scene("RGGB", (32, 32)), Dng())
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "absent"))
    with pytest.raises(JobError, match="set TMPDIR"):
        read_capture(path)


def test_a_crash_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    body = "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"
    assert "LibRaw crashed (SIGSEGV)" in refusal(stand_in(body, tmp_path, monkeypatch))


def test_a_hang_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = stand_in("import time; time.sleep(60)", tmp_path, monkeypatch)
    assert "not read within 0.5 s" in refusal(path, timeout_s=0.5)


def test_a_stop_ends_the_reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = stand_in("import time; time.sleep(60)", tmp_path, monkeypatch)
    stop = threading.Event()
    threading.Timer(0.3, stop.set).start()
    begun = time.perf_counter()
    with pytest.raises(StoppedError):
        read_capture(path, stop=stop)
    assert time.perf_counter() - begun < 10


def test_an_exception_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    fault_log._file.cache_clear()
    path = stand_in("raise RuntimeError('odd')", tmp_path, monkeypatch)
    said = refusal(path)
    assert "odd" not in said
    assert "RuntimeError: odd" in Path(said.rpartition(" ")[2]).read_text()
    fault_log._file.cache_clear()


def test_silence_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "status 0" in refusal(stand_in("", tmp_path, monkeypatch))


def test_the_current_folder_cannot_replace_modules(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("numpy", "rawpy", "json", "edge_pipeline"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('hijacked')")
    monkeypatch.chdir(tmp_path)
    assert read_capture(CHART).pattern == "RGGB"


def test_names_that_look_like_options_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_dng(tmp_path / "-v ü.dng", scene("RGGB", (40, 50)))
    monkeypatch.chdir(tmp_path)
    assert read_capture(Path("-v ü.dng")).pattern == "RGGB"


@pytest.mark.skipif(sys.platform == "darwin", reason="file names are always UTF-8 there")
def test_names_that_are_not_utf8_are_read(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"caf\xe9.dng")
    write_dng(path, scene("RGGB", (32, 32)), Dng())
    assert read_capture(path).mosaic.shape == (32, 32)


@pytest.mark.parametrize("seed", range(12))
def test_damage_never_takes_the_caller_down(seed: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(seed)
    data = bytearray(write_dng(tmp_path / "a.dng", scene("RGGB", (40, 50))).read_bytes())
    for at in rng.integers(0, 400, 8):
        data[int(at)] = int(rng.integers(256))
    path = tmp_path / "b.dng"
    path.write_bytes(data)
    with suppress(CaptureError):
        read_capture(path, timeout_s=20)
