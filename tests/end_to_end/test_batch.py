"""Batches from the command line: real processes that are interrupted, ended, and out of room."""

import io
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edge_pipeline.cli.main import main
from tests.data_files import CHART
from tests.fakes.artifacts import make_artifact
from tests.fakes.dng import Dng, write_dng

HEADERLESS = [
    *("--width", "24", "--height", "16", "--bits", "12", "--cfa", "grbg"),
    *("--black", "64", "--white", "4095", "--wb", "2,1,1.5"),
]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(make_artifact(tmp_path_factory.mktemp("model") / "split", filters="split").folder)


@pytest.fixture
def card(tmp_path: Path) -> Path:
    """A folder of headerless captures with a sub-folder, a hidden file and a picture."""
    for seed, name in enumerate(("a.raw", "day/b.RAW", "day/._b.raw", "day/c.jpg")):
        (tmp_path / "card" / name).parent.mkdir(parents=True, exist_ok=True)
        values = np.random.default_rng(seed).integers(64, 4096, (16, 24), np.uint16)
        values.tofile(tmp_path / "card" / name)
    return tmp_path / "card"


Develop = Callable[..., tuple[int, str, str]]


@pytest.fixture
def develop(model: str, capsys: pytest.CaptureFixture[str]) -> Develop:
    def run(*words: object) -> tuple[int, str, str]:
        code = main(["develop", *map(str, words), "--model", model])
        out, err = capsys.readouterr()
        return code, out, err

    return run


def process(model: str, *words: object, **options: object) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "edge_pipeline", "develop", *map(str, words)]
    return subprocess.run(
        [*command, "--model", model], capture_output=True, timeout=120, check=False, **options
    )


def test_a_folder_is_developed_and_the_same_command_skips_what_exists(
    develop: Develop, card: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    code, lines, _ = develop(card, "-o", out, *HEADERLESS)
    assert code == 0
    assert sorted(lines.splitlines()[:2]) == [
        f"developed  {card}/a.raw -> {out}/a.jpg",
        f"developed  {card}/day/b.RAW -> {out}/day/b.jpg",
    ]
    assert lines.splitlines()[2:] == ["2 developed, 0 existed, 0 failed"]
    before = (out / "day/b.jpg").stat().st_mtime_ns
    (out / "a.jpg").unlink()
    code, lines, _ = develop(card, "-o", out, *HEADERLESS)
    assert code == 0
    assert f"exists     {card}/day/b.RAW -> {out}/day/b.jpg" in lines
    assert lines.splitlines()[-1] == "1 developed, 1 existed, 0 failed"
    assert (out / "day/b.jpg").stat().st_mtime_ns == before
    assert "2 developed" in develop(card, "-o", out, *HEADERLESS, "--force")[1]
    assert (out / "day/b.jpg").stat().st_mtime_ns != before


def test_a_folder_without_captures_is_one_sentence(develop: Develop, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    code, out, err = develop(tmp_path / "empty", "-o", tmp_path / "out")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "empty has no RAW file" in err


def test_jobs_change_no_picture(develop: Develop, card: Path, tmp_path: Path) -> None:
    for jobs in ("1", "2"):
        words = (card, "-o", tmp_path / jobs, "--jobs", jobs, *HEADERLESS)
        assert develop(*words)[0] == 0
    assert (tmp_path / "1/a.jpg").read_bytes() == (tmp_path / "2/a.jpg").read_bytes()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--jobs", "0"], "give --jobs 1 or more"),
        (["--max-pixels", "0"], "give --max-pixels 1 or more"),
        (["--format", "gif"], "expected one of jpeg, jpg, png, tif, tiff"),
    ],
)
def test_mistakes_are_one_sentence(
    develop: Develop, card: Path, tmp_path: Path, words: list[str], said: str
) -> None:
    code, out, err = develop(card, "-o", tmp_path / "out", *HEADERLESS, *words)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert said in err
    assert not (tmp_path / "out").exists()


# Standard output.


@pytest.mark.parametrize(("words", "kind"), [([], "JPEG"), (["--format", "tif"], "TIFF")])
def test_a_picture_goes_to_standard_output(
    model: str, card: Path, words: list[str], kind: str
) -> None:
    done = process(model, card / "a.raw", "-o", "-", *HEADERLESS, *words)
    assert done.returncode == 0
    with Image.open(io.BytesIO(done.stdout)) as image:
        assert (image.format, image.size) == (kind, (24, 16))
    assert done.stderr.decode().splitlines()[-1] == f"developed  {card}/a.raw -> -"


def test_standard_output_refuses_what_does_not_fit(
    develop: Develop, card: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for words, said in (
        ([card / "a.raw", card / "day/b.RAW"], "one picture, got 2 captures"),
        ([card], "one picture, got a folder"),
        ([card / "a.raw", "--sidecar"], "no place for a sidecar"),
    ):
        code, out, err = develop(*words, "-o", "-", *HEADERLESS)
        assert (code, out) == (2, "")
        assert said in err
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    code, out, err = develop(card / "a.raw", "-o", "-", *HEADERLESS)
    assert (code, out) == (2, "")
    assert "is a terminal; redirect it" in err


def test_an_error_leaves_standard_output_empty(model: str, tmp_path: Path) -> None:
    (tmp_path / "x.dng").write_bytes(b"no capture")
    done = process(model, tmp_path / "x.dng", "-o", "-")
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.startswith(b"error: ")


@pytest.mark.parametrize("output", ["-", "out/"])
def test_a_full_standard_output_is_a_failed_job(
    model: str, card: Path, tmp_path: Path, output: str
) -> None:
    command = [sys.executable, "-m", "edge_pipeline", "develop", str(card / "a.raw"), "-o", output]
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [*command, "--model", model, *HEADERLESS],
            stdout=full,
            stderr=subprocess.PIPE,
            timeout=120,
            check=False,
            cwd=tmp_path,
        )
    assert done.returncode == 1
    assert b"standard output cannot be written: No space left on device" in done.stderr
    assert b"Traceback" not in done.stderr


# No room on the disk, and too large captures.


def test_a_disk_without_room_fails_each_picture_with_1(
    model: str, card: Path, tmp_path: Path
) -> None:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500))

    out = tmp_path / "out"
    done = process(model, card, "-o", out, "--sidecar", *HEADERLESS, preexec_fn=limit)
    assert done.returncode == 1
    assert done.stderr.count(b": File too large") == 2
    assert b"Traceback" not in done.stderr
    assert not [path for path in out.rglob("*") if path.is_file()]


@pytest.mark.parametrize("room", [100, 50_000])
def test_temporary_files_without_room_fail_with_1(model: str, tmp_path: Path, room: int) -> None:
    source = write_dng(tmp_path / "a.dng", np.full((200, 300), 1000, np.uint16), Dng())

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))

    done = process(model, source, "-o", tmp_path / "a.jpg", preexec_fn=limit)
    assert done.returncode == 1
    assert b"cannot hold it: File too large; make room there" in done.stderr
    assert not (tmp_path / "a.jpg").exists()


def sparse_dng(path: Path, height: int, width: int) -> Path:
    """A DNG that states a size and has a hole in place of most of its pixels."""
    write_dng(path, np.broadcast_to(np.uint16(1000), (64, width)), Dng(), rows=height)
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size + 2 * (height - 64) * width)
    return path


def test_a_capture_over_the_limit_is_refused_before_it_is_decoded(
    develop: Develop, tmp_path: Path
) -> None:
    source = sparse_dng(tmp_path / "huge.dng", 22000, 22000)
    begun = time.perf_counter()
    code, out, err = develop(source, "-o", tmp_path / "a.jpg")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "states 22000 x 22000 pixels, more than the limit of 300000000" in err
    assert time.perf_counter() - begun < 20
    code, _, err = develop(CHART, "-o", tmp_path / "a.jpg", "--max-pixels", "2000000")
    assert code == 2
    assert "states 1888 x 1182 pixels, more than the limit of 2000000" in err


def test_a_capture_that_does_not_fit_into_memory_is_a_failed_job(
    develop: Develop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge_pipeline.raw.limits.available_bytes", lambda: 300_000_000)
    code, out, err = develop(CHART, "-o", tmp_path / "a.jpg")
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert "require 0.4 GB of memory, but only 0.3 GB are available" in err
