"""The demo's own work; the steps that it drives have tests of their own."""

import json

import numpy as np
import pytest
from PIL import Image

from edge_pipeline.cli.main import main as edge_pipeline
from edge_pipeline.errors import JobError
from tests.fakes.artifacts import make_artifact
from tools import demo


def test_a_command_that_fails_stops_the_demo(capfd):
    steps = demo.Steps()
    with pytest.raises(JobError, match="code 2"):
        steps.run("inspect", "nothing")
    assert steps.done == []
    captured = capfd.readouterr()
    assert "$ edge-pipeline inspect nothing" in captured.out
    assert captured.err.count("error:") == 1


def test_a_command_is_remembered_as_it_is_typed():
    steps = demo.Steps()
    steps.run("--version")
    assert [step.command for step in steps.done] == ["edge-pipeline --version"]
    assert steps.done[0].seconds > 0


def test_crops_are_of_the_same_place_though_libraw_keeps_a_border():
    pixels = np.random.default_rng(0).integers(0, 255, (1000, 1500, 3), np.uint8)
    framed = np.pad(pixels, ((4, 4), (6, 6), (0, 0)))
    ours, theirs = demo.crops_of(Image.fromarray(pixels), Image.fromarray(framed))
    assert ours.content == theirs.content
    assert (ours.width, ours.height) == (320, 240)


def test_libraw_renders_the_bundled_capture_as_bright_as_asked():
    image = demo.render_with_libraw(demo.CAPTURE)
    assert image.size == (1734, 1156)
    # The chart's white patch, about a third of full scale as exposed, two thirds a stop up.
    white = np.asarray(image)[900:960, 680:730].mean()
    assert 120 < white < 255


def test_accuracies_are_what_verify_wrote(tmp_path):
    folder = make_artifact(tmp_path / "onnx_split", filters="split").folder
    target = tmp_path / "verify.json"
    assert edge_pipeline(["verify", str(folder), "--json", str(target)]) == 0
    rows = demo.accuracies_of(target)
    assert [(row.artifact, row.program) for row in rows] == [
        ("onnx split", "predict_filters"),
        ("onnx split", "apply_filters"),
    ]
    written = json.loads(target.read_bytes())[0]["programs"][1]["outputs"][0]
    assert rows[1].max_abs == written["difference"]["max_abs_srgb"]
    assert all(row.within for row in rows)


def test_the_page_is_made_of_what_the_steps_left(tmp_path, monkeypatch):
    monkeypatch.setattr(demo, "OUTPUT", tmp_path)
    folder = str(make_artifact(tmp_path / "onnx_folded").folder)
    assert edge_pipeline(["verify", folder, "--json", str(tmp_path / "verify.json")]) == 0
    words = [
        "--warmup",
        "0",
        "--runs",
        "30",
        "--seconds",
        "0",
        "--records",
        str(tmp_path / "records.jsonl"),
    ]
    assert edge_pipeline(["bench", folder, *words]) == 0
    picture = tmp_path / "chart.png"
    Image.new("RGB", (1734, 1156)).save(picture)
    steps = demo.Steps()
    masks = demo.segmented(steps)
    assert len(steps.done) == len(demo.PHIS)
    assert len({mask.content for mask in masks}) == 3
    html = demo.write_page(steps, picture, masks).read_text(encoding="utf-8")
    assert "onnx folded" in html
    assert html.count("data:image/") == 6
    assert html.count("<title>phi ") == 4
    assert len(html) < 4_000_000
