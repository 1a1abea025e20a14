"""`pareto` as it is typed, with a tiny network that nobody trained and a tiny folder."""

import csv
import json
import shlex

import pytest

pytest.importorskip("torch", reason="evaluating a checkpoint needs torch")

import numpy as np
import torch
from PIL import Image

from edge_pipeline.cli.main import main
from edge_pipeline.models.checkpoint import load_checkpoint, save_checkpoint
from edge_pipeline.models.cost import cost_of
from edge_pipeline.select.record import RECORDS_FILE, read_sweep
from tests.fakes.untrained_segmenters import SIZE, write_checkpoint, write_pictures

FILES = ("records.json", "points.csv", "front.csv", "front.json", "front.html")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return write_checkpoint(tmp_path_factory.mktemp("net") / "tiny.safetensors")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    return write_pictures(tmp_path_factory.mktemp("data") / "set")


@pytest.fixture
def run(checkpoint, pictures, tmp_path):
    def call(*words, data=pictures, source=checkpoint):
        return main(["pareto", str(source), "--data", str(data), "-o", str(tmp_path), *words])

    return call


def test_a_sweep_writes_records_fronts_and_a_page(run, tmp_path, capsys, checkpoint, pictures):
    assert run("--phi", "0.1:0.5:0.2") == 0
    assert capsys.readouterr().out.splitlines() == [f"wrote {tmp_path / name}" for name in FILES]
    sweep = read_sweep(tmp_path)
    assert [point.phi for point in sweep.points] == [0.1, 0.3, 0.5]
    assert sweep.setting.pictures == ("0", "1", "2")
    assert (sweep.setting.split, sweep.setting.input) == ("all", (3, *SIZE))
    network = load_checkpoint(checkpoint).build()
    for point in sweep.points:
        cost = cost_of(network, (1, 3, *SIZE), fixed={"phi": point.phi})
        assert point.macs == cost.path.macs < cost.macs
        dices = [_dice(network, pictures, name, point.phi) for name in sweep.setting.pictures]
        assert point.scores.picture_dice == pytest.approx(dices)
        assert point.scores.dice == pytest.approx(np.mean(dices))
    front = json.loads((tmp_path / "front.json").read_text())["fronts"]
    assert [curve["cost"] for curve in front] == ["macs", "memory"]
    with (tmp_path / "points.csv").open(newline="") as file:
        assert [float(row["phi"]) for row in csv.DictReader(file)] == [0.1, 0.3, 0.5]
    assert (tmp_path / "front.html").read_text().count("<figure ") == 3


def _dice(network, folder, name, phi):
    """The Dice score of a picture, by the definition and without the package's evaluation."""
    picture = np.asarray(Image.open(folder / "images" / f"{name}.png"), np.float32) / 255
    true = np.asarray(Image.open(folder / "masks" / f"{name}.png")) == 1
    with torch.no_grad():
        scores = network(torch.from_numpy(picture).permute(2, 0, 1)[None], phi)
    found = scores[0, 0].numpy() > 0
    return 2 * (found & true).sum() / (found.sum() + true.sum())


def test_weights_differ_between_values_of_phi(run, tmp_path):
    assert run("--phi", "0.3:0.32:0.01") == 0
    sweep = read_sweep(tmp_path)
    assert len({point.scores.picture_dice for point in sweep.points}) > 1


def test_further_values_are_added_and_none_is_evaluated_again(run, tmp_path, monkeypatch):
    from edge_pipeline.train.scoring import Scorer

    assert run("--phi", "0.1:0.3:0.1") == 0
    asked, counts = [], Scorer.counts
    monkeypatch.setattr(
        Scorer, "counts", lambda self, phi, report: asked.append(phi) or counts(self, phi, report)
    )
    assert run("--strategy", "random", "--trials", "3", "--phi", "0.1:0.5:0.1") == 0
    assert run("--phi", "0.1:0.5:0.1") == 0
    assert sorted(asked) == [0.4, 0.5]
    assert [point.phi for point in read_sweep(tmp_path).points] == [0.1, 0.2, 0.3, 0.4, 0.5]


def test_a_resize_is_the_size_of_pictures_and_cost(run, tmp_path):
    assert run("--phi", "0.3:0.3:1", "--resize", "10x12") == 0
    small = read_sweep(tmp_path)
    assert (small.setting.resize, small.setting.input) == ((10, 12), (3, 10, 12))


def test_the_answer_of_tpe_is_printed_with_its_command(run, tmp_path, capsys):
    pytest.importorskip("optuna", reason="the strategy tpe needs Optuna (extra train)")
    words = ["--strategy", "tpe", "--trials", "4", "--phi", "0.1:0.6:0.1"]
    assert run(*words, "--min-dice", "0.0", "--metric", "memory") == 0
    out = capsys.readouterr().out
    assert "edge-pipeline compile" in out
    assert run(*words, "--min-dice", "1.0") == 1
    assert "the nearest is phi" in capsys.readouterr().err
    assert len(read_sweep(tmp_path).points) <= 6


def test_a_registered_set_is_read_with_its_options(run, pictures, tmp_path):
    options = ["-s", f"folder={pictures}", "-s", "licence=CC0", "-s", 'labels=["no", "yes"]']
    options += ["-s", "shares=[0, 0, 1]", "--split", "test", "--phi", "0.3:0.3:1"]
    assert run(*options, data="folder") == 0
    sweep = read_sweep(tmp_path)
    assert (sweep.setting.dataset, sweep.setting.split) == ("folder", "test")
    assert [label.label for label in sweep.points[0].scores.labels] == ["no", "yes"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--phi", "0.1:0.7:0.1"], "phi 0.7 is outside the network's range"),
        (["--phi", "0:0.5:0.1"], "phi 0 is outside the network's range"),
        (["--measure", "0.3"], "give --backend"),
        (["--backend", "abacus"], "no backend is called 'abacus'"),
        (["--backend", "onnx", "--measure", "0.9"], "phi 0.9 is outside"),
        (["--backend", "onnx", "--device", "abacus"], "no device is called 'abacus'"),
        (["--backend", "onnx", "--runs", "3"], "at least 30"),
        (["--strategy", "random"], "give --trials"),
        (["--min-dice", "0.5"], "grid has a lowest score"),
        (["--strategy", "tpe", "--trials", "3", "--min-dice", "1.5"], "--min-dice 1.5"),
        (["--resize", "10"], "'10' is not a size"),
        (["-s", "labels=1"], "data set folder: labels"),
    ],
)
def test_wrong_options_are_refused_before_anything_is_written(
    run, tmp_path, capsys, words, message
):
    assert run(*words) == 2
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_network_without_phi_is_refused(run, tmp_path, capsys):
    sizes = dict.fromkeys(("encoder", "decoder", "hidden1", "hidden2", "phi_min", "phi_max"))
    sizes |= {"height": None, "width": None, "n_fwd": 2, "n_embed": 2, "n_hid": 2}
    source = write_checkpoint(tmp_path / "a.safetensors", "hyperconv_unet", **sizes)
    assert run(source=source) == 2
    assert "hyperconv_unet, which has no rescaling factor phi" in capsys.readouterr().err


@pytest.fixture(scope="module")
def separate(tmp_path_factory):
    """A checkpoint of a network with two rescaling factors."""
    path = tmp_path_factory.mktemp("separate") / "a.safetensors"
    return write_checkpoint(path, encoder="2-3-2", decoder="2-2", separate=True)


def test_all_combinations_of_separate_factors_are_evaluated(
    run, tmp_path, capsys, separate, pictures
):
    assert run("--phi", "0.2:0.6:0.4", source=separate) == 0
    sweep = read_sweep(tmp_path)
    assert sweep.setting.factors == 2
    phis = [point.phi for point in sweep.points]
    assert phis == [(0.2, 0.2), (0.2, 0.6), (0.6, 0.2), (0.6, 0.6)]
    network = load_checkpoint(separate).build()
    for point in sweep.points:
        cost = cost_of(network, (1, 3, *SIZE), fixed={"phi": "-".join(map(str, point.phi))})
        assert point.macs == cost.path.macs
        dices = [_dice(network, pictures, name, point.phi) for name in sweep.setting.pictures]
        assert point.scores.picture_dice == pytest.approx(dices)
    assert len({point.macs for point in sweep.points}) == 4
    with (tmp_path / "points.csv").open(newline="") as file:
        rows = [row["phi"] for row in csv.DictReader(file)]
    assert rows == ["0.2-0.2", "0.2-0.6", "0.6-0.2", "0.6-0.6"]
    page = (tmp_path / "front.html").read_text()
    assert page.count("<figure ") == 4
    assert "Score and factor 2 of 2" in page
    capsys.readouterr()
    assert main(["select", str(tmp_path), "--metric", "macs"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "phi 0.2-0.2 of 4 evaluated"
    words = shlex.split(lines[-1])
    assert words[words.index("--fix") + 1] == "phi=0.2-0.2"


def test_separate_factors_are_compiled_and_measured(run, tmp_path, separate):
    pytest.importorskip("onnxscript", reason="compiling to ONNX needs it")
    words = ["--phi", "0.5:0.5:1", "--backend", "onnx", "--measure", "0.3-0.6,0.4"]
    assert run(*words, "--runs", "30", "--seconds", "0.01", "--warmup", "1", source=separate) == 0
    measured = {p.phi: len(p.measurements) for p in read_sweep(tmp_path).points}
    assert measured == {(0.3, 0.6): 1, (0.4, 0.4): 1, (0.5, 0.5): 0}
    manifest = json.loads((tmp_path / "artifacts/onnx-phi-0.3-0.6/manifest.json").read_text())
    assert manifest["fixed"] == {"phi": "0.3-0.6"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--backend", "onnx", "--measure", "0.3-0.4-0.5"], "'0.3-0.4-0.5' with 3 factors; the"),
        (["--backend", "onnx", "--measure", "0.3-0.9"], "phi 0.9 is outside"),
        (["--backend", "onnx", "--measure", "0.3-x"], "'0.3-x', which is no number"),
        (["--phi", "0.1:0.6:0.001"], "501 values of each of 2 factors are 251001 combinations"),
    ],
)
def test_wrong_separate_factors_are_refused(run, tmp_path, capsys, separate, words, message):
    assert run(*words, source=separate) == 2
    assert message in " ".join(capsys.readouterr().err.split())
    assert list(tmp_path.iterdir()) == []


def test_data_that_does_not_fit_is_refused(run, tmp_path, capsys, pictures):
    source = write_checkpoint(tmp_path / "a.safetensors", out_channels=5)
    assert run("-s", 'labels=["a", "b"]', source=source) == 2
    assert "predicts 5 labels, and set has 2 (a, b)" in capsys.readouterr().err
    grey = write_checkpoint(tmp_path / "b.safetensors", in_channels=1)
    assert run(source=grey) == 2
    assert "pictures of 1 channels, and those of set have 3" in capsys.readouterr().err
    three = write_pictures(tmp_path / "three", values=3)
    assert run(data=three) == 2
    assert "which is no label of three" in capsys.readouterr().err
    assert run(data=tmp_path / "absent") == 2
    assert "neither a folder nor a labelled data set" in capsys.readouterr().err
    assert not (tmp_path / RECORDS_FILE).exists()


def test_a_damaged_picture_is_named_and_points_are_kept(run, tmp_path, capsys):
    folder = write_pictures(tmp_path / "set")
    assert run("--phi", "0.3:0.3:1", data=folder) == 0
    path = folder / "images" / "1.png"
    path.write_bytes(path.read_bytes()[:60])
    assert run("--phi", "0.3:0.5:0.1", data=folder) == 2
    assert str(path) in capsys.readouterr().err
    assert [point.phi for point in read_sweep(tmp_path).points] == [0.3]


def test_a_network_whose_output_is_not_finite_has_no_score(run, tmp_path, capsys):
    source = write_checkpoint(tmp_path / "a.safetensors")
    found = load_checkpoint(source)
    state = {name: value.fill_(float("nan")) for name, value in found.state.items()}
    save_checkpoint(source, model=found.model, options=found.options, state=state, card=found.card)
    assert run(source=source) == 1
    assert "output at phi 0.1 is not finite" in capsys.readouterr().err
    assert not (tmp_path / RECORDS_FILE).exists()


def test_a_network_without_hypernetwork_is_evaluated(run, tmp_path):
    source = write_checkpoint(tmp_path / "a.safetensors", hyper=False)
    assert run("--phi", "0.3:0.4:0.1", source=source) == 0
    assert len(read_sweep(tmp_path).points) == 2


def test_records_of_another_resize_are_kept(run, capsys):
    assert run("--phi", "0.3:0.3:1") == 0
    assert run("--phi", "0.3:0.3:1", "--resize", "10x12") == 2
    assert "another resize" in capsys.readouterr().err


@pytest.mark.slow
def test_measured_latency_is_selected_and_its_command_compiles(run, tmp_path, capsys, monkeypatch):
    pytest.importorskip("onnx", reason="compiling for ONNX needs the extra onnx")
    words = ["--phi", "0.1:0.5:0.2", "--backend", "onnx", "--measure", "0.2,0.5", "--warmup", "1"]
    assert run(*words) == 0
    sweep = read_sweep(tmp_path)
    assert [point.phi for point in sweep.points] == [0.1, 0.2, 0.3, 0.5]
    assert [len(point.measurements) for point in sweep.points] == [0, 1, 0, 1]
    for point in sweep.points[1::2]:
        (measured,) = point.measurements
        assert len(measured.record.samples_ms) == 30
        folder = tmp_path / measured.record.artifact
        model = [path for path in folder.iterdir() if path.suffix in (".onnx", ".data")]
        assert measured.artifact_bytes == sum(path.stat().st_size for path in model) > 0
    before = (tmp_path / RECORDS_FILE).read_bytes()
    assert run(*words) == 0
    assert (tmp_path / RECORDS_FILE).read_bytes() == before  # nothing is measured again
    capsys.readouterr()
    assert main(["select", str(tmp_path), "--metric", "latency", "--device", "host"]) == 0
    command = shlex.split(capsys.readouterr().out.splitlines()[-1])
    monkeypatch.chdir(tmp_path)
    assert main(command[1:]) == 0
