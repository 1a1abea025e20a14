"""`edge-pipeline segment` from the command line: files, lines, exit codes, interruptions."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edge_pipeline.cli.main import main
from edge_pipeline.errors import RuntimeFailure
from edge_pipeline.segmentation import batch
from edge_pipeline.segmentation.segmenter import Segmenter
from tests.fakes.folders import snapshot
from tests.fakes.onnx_segmenters import make_segmenter

Segment = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("model") / "m"
    names = ("background", "nucleus")
    made = make_segmenter(folder, classes=1, phi=0.2, labels=names, background=True)
    return str(made.folder)


@pytest.fixture
def segment(model: str, capsys: pytest.CaptureFixture[str]) -> Segment:
    def run(*words: object) -> tuple[int, str, str]:
        code = main(["segment", *map(str, words), "--model", model])
        out, err = capsys.readouterr()
        return code, out, err

    return run


@pytest.fixture
def card(tmp_path: Path) -> Path:
    """A folder of pictures with a sub-folder, a hidden file, a text and a mask."""
    for seed, name in enumerate(("a.png", "day/b.JPG", "day/c.tif", ".d.png", "a.mask.png")):
        path = tmp_path / "card" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        codes = np.random.default_rng(seed).integers(0, 256, (20, 30, 3), np.uint8)
        Image.fromarray(codes).save(path)
    (tmp_path / "card" / "notes.txt").write_text("notes")
    return tmp_path / "card"


def test_a_folder_is_segmented_and_the_same_command_skips_what_exists(
    segment: Segment, card: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    code, lines, notes = segment(card, "-o", out)
    assert code == 0
    told = lines.splitlines()
    assert [line.partition(": nucleus ")[0] for line in told[:3]] == [
        f"segmented  {card}/a.png -> {out}/a.mask.png",
        f"segmented  {card}/day/b.JPG -> {out}/day/b.mask.png",
        f"segmented  {card}/day/c.tif -> {out}/day/c.mask.png",
    ]
    assert told[3] == "3 segmented, 0 existed, 0 failed"
    assert notes == ""  # the network has a halo, so tiles are exact
    files = [name for name, content in snapshot(out).items() if content is not None]
    names = ("a", "day/b", "day/c")
    assert sorted(files) == sorted(
        f"{n}{end}" for n in names for end in (".mask.png", ".overlay.jpg")
    )
    with Image.open(out / "a.mask.png") as mask, Image.open(out / "a.overlay.jpg") as overlay:
        assert mask.size == overlay.size == (30, 20)
        share = 100 * (np.asarray(mask) == 1).mean()
    assert told[0].endswith(f": nucleus {share:.1f} %")

    before = snapshot(out)
    (out / "a.mask.png").unlink()
    (out / "a.overlay.jpg").write_bytes(b"mine")
    code, lines, _ = segment(card, "-o", out)
    assert code == 0
    assert f"exists     {card}/day/b.JPG -> {out}/day/b.mask.png\n" in lines
    assert lines.splitlines()[-1] == "1 segmented, 2 existed, 0 failed"
    assert snapshot(out) == {**before, "a.overlay.jpg": b"mine"}
    code, _, _ = segment(card, "-o", out, "--force", "--threads", "1")
    assert code == 0
    assert snapshot(out) == before


def test_pictures_and_outputs_can_share_a_folder(segment: Segment, card: Path) -> None:
    for words in ("3 segmented, 0 existed", "0 segmented, 3 existed"):
        code, lines, _ = segment(card, "-o", card, "--force" if "3 seg" in words else "--overlay")
        assert code == 0
        assert words in lines


def test_a_single_picture_without_an_overlay(segment: Segment, card: Path, tmp_path: Path) -> None:
    code, lines, _ = segment(card / "a.png", "-o", tmp_path / "out", "--no-overlay")
    assert code == 0
    assert len(lines.splitlines()) == 1
    assert list(snapshot(tmp_path / "out")) == ["a.mask.png"]


def test_phi_resize_and_overlap(segment: Segment, card: Path, tmp_path: Path) -> None:
    masks = []
    cases = ([], ["--phi", "0.4"], ["--resize"], ["--overlap", "0"], ["--opacity", "1"])
    for number, words in enumerate(cases):
        out = tmp_path / str(number)
        code, _, notes = segment(card / "a.png", "-o", out, *words)
        assert code == 0
        assert ("note:" in notes) == (words[:1] in (["--resize"], ["--overlap"]))
        masks.append(np.asarray(Image.open(out / "a.mask.png")))
    np.testing.assert_array_equal(masks[1], 1 - masks[0])
    np.testing.assert_array_equal(masks[4], masks[0])
    assert (masks[2] != masks[0]).any()
    assert (masks[3] != masks[0]).any()


def test_a_general_note_is_printed_once(segment: Segment, card: Path, tmp_path: Path) -> None:
    _, _, notes = segment(card, "-o", tmp_path / "out", "--overlap", "1")
    assert notes.count("note: larger pictures are cut into tiles of 16 x 16 pixels") == 1


def test_a_failing_picture_does_not_stop_the_others(
    segment: Segment, card: Path, tmp_path: Path
) -> None:
    (card / "a.png").write_bytes((card / "a.png").read_bytes()[:99])
    (card / "day/b.JPG").write_text("a text")
    code, lines, errors = segment(card, card / "none.png", "-o", tmp_path / "out")
    assert code == 2
    assert lines.splitlines()[-1] == "1 segmented, 0 existed, 3 failed"
    assert errors.splitlines() == [
        f"error: {card}/a.png is damaged or incomplete; save it again",
        f"error: {card}/day/b.JPG is not a picture in PNG, JPEG, TIFF, BMP or WebP",
        f"error: cannot read {card}/none.png: No such file or directory",
    ]
    assert sorted(p.name for p in (tmp_path / "out").rglob("*.*")) == [
        "c.mask.png",
        "c.overlay.jpg",
    ]


def test_a_runtime_that_fails_is_exit_code_1_and_leaves_nothing(
    segment: Segment, card: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeFailure("the runtime failed")

    monkeypatch.setattr(Segmenter, "segment", fail)
    code, _, errors = segment(card, "-o", tmp_path / "out")
    assert code == 1
    assert errors.count("the runtime failed") == 3
    assert [p for p in (tmp_path / "out").rglob("*") if p.is_file()] == []


def test_an_unexpected_error_is_one_sentence(
    segment: Segment, card: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch, "write_overlay", lambda *_: 1 / 0)
    code, lines, errors = segment(card, "-o", tmp_path / "out")
    assert code == 1
    assert lines.splitlines()[-1] == "0 segmented, 0 existed, 3 failed"
    assert "ZeroDivisionError" not in errors
    assert errors.count("a bug in this program") == 3
    assert [p for p in (tmp_path / "out").rglob("*") if p.is_file()] == []


def test_an_interruption_leaves_nothing_half_written(
    model: str, card: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    write = batch.write_overlay

    def interrupt(path: Path, *rest: object) -> tuple[str, ...]:
        if path.name.startswith("b."):
            raise KeyboardInterrupt
        return write(path, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(batch, "write_overlay", interrupt)
    words = ["segment", str(card), "-o", str(tmp_path / "out"), "--model", model]
    assert main(words) == 130
    assert "interrupted: 1 of 3 pictures done; the same command" in capsys.readouterr().err
    files = [p.name for p in (tmp_path / "out").rglob("*") if p.is_file()]
    assert sorted(files) == ["a.mask.png", "a.overlay.jpg"]
    monkeypatch.undo()
    assert main(words) == 0
    assert "2 segmented, 1 existed, 0 failed" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["a.png", "a.jpg", "-o", "out"], "would both become out/a.mask.png"),
        (["a.png", "sub/A.png", "-o", "out"], "would both become out/A.mask.png"),
        (["a.png", "a.mask.png", "-o", "."], "a.mask.png is a picture to segment"),
        (["a.png", "-o", "a.jpg"], "a.jpg is a file, not a folder"),
        (["sub/none", "-o", "out", "--opacity", "2"], "the opacity is 2; give 0 to 1"),
        (["empty", "-o", "out"], "empty has no picture (.png .jpg .tiff .bmp .webp)"),
        (["a.png", "-o", "out", "--phi", "0.7"], "phi=0.7 must be from 0.2 to 0.4"),
        (["a.png", "-o", "out", "--overlap", "3", "--resize"], "give one of the two"),
        (["a.png", "-o", "out", "--overlap", "8"], "leaves no room in tiles of 16"),
        (["a.png", "-o", "out", "--threads", "0"], "threads must be from 1 to 512"),
    ],
)
def test_bad_input_is_refused_before_any_work(
    segment: Segment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("sub").mkdir()
    Path("empty").mkdir()
    for name in ("a.png", "a.jpg", "a.mask.png", "sub/A.png"):
        Image.new("RGB", (8, 8)).save(name)
    before = snapshot(tmp_path)
    code, lines, errors = segment(*words)
    assert (code, lines) == (2, "")
    assert said in errors
    assert errors.count("\n") == 1
    assert snapshot(tmp_path) == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written(segment: Segment, card: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir(mode=0o500)
    code, _, errors = segment(card / "a.png", "-o", tmp_path / "out")
    assert code == 2
    assert "cannot write" in errors


def test_a_folder_below_a_file_cannot_be_written(
    segment: Segment, card: Path, tmp_path: Path
) -> None:
    code, _, errors = segment(card / "a.png", "-o", card / "notes.txt" / "out")
    assert code == 2
    assert f"cannot create the folder {card}/notes.txt/out: Not a directory" in errors


def test_an_artifact_is_not_written_into(segment: Segment, model: str, card: Path) -> None:
    before = snapshot(Path(model))
    code, _, errors = segment(card / "a.png", "-o", Path(model) / "out")
    assert code == 2
    assert "lies inside the artifact" in errors
    assert snapshot(Path(model)) == before


def test_a_missing_default_model_is_one_sentence(
    card: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    monkeypatch.setattr("edge_pipeline.segmentation.opening.packaged", lambda _: tmp_path)
    assert main(["segment", str(card), "-o", str(tmp_path / "out")]) == 2
    assert "this installation has no default segmenter" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_segmenting_imports_no_torch_and_takes_little_memory(model: str, tmp_path: Path) -> None:
    """16 million pixels in colour: 64 MB in Pillow, and 16 MB of labels."""
    Image.new("RGB", (4000, 4000), (90, 20, 200)).save(tmp_path / "a.png", compress_level=1)
    program = (
        "import json, resource, sys\n"
        "from edge_pipeline.cli.main import main\n"
        "import edge_pipeline.segmentation.segmenter, edge_pipeline.cli.segment, onnxruntime\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "before = peak()\n"
        "code = main(sys.argv[1:])\n"
        "print(json.dumps([code, 'torch' in sys.modules, (peak() - before) / 1000]))\n"
    )
    words = ["segment", str(tmp_path / "a.png"), "-o", str(tmp_path / "out"), "--resize"]
    words += ["--no-overlay"]
    done = subprocess.run(
        [sys.executable, "-c", program, *words, "--model", model],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    code, torch, peak_mb = json.loads(done.stdout.splitlines()[-1])
    assert code == 0
    assert not torch
    assert peak_mb < 130  # the picture in float32 takes 192 MB
