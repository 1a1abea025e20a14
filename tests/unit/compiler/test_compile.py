import importlib
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from edge_pipeline.artifact.store import Artifact
from edge_pipeline.compiler import pipeline
from edge_pipeline.compiler.compile import CompileRequest, compile_model
from edge_pipeline.errors import (
    CaptureError,
    CheckpointError,
    InputError,
    OutputError,
    UnknownNameError,
)
from edge_pipeline.files import packaged, sha256_of
from edge_pipeline.models.base import build_model
from edge_pipeline.models.checkpoint import save_checkpoint
from edge_pipeline.registry import BACKENDS

SMALL = {"width": 4}
CHART = packaged("calibration") / "captures" / "colorchart.dng"
CARD = {
    "name": "small",
    "description": "for tests",
    "training_data": ["none"],
    "licence": "CC0-1.0",
}


@pytest.fixture(autouse=True)
def fake_backend(monkeypatch, small_isp):
    """The registry with a small network, and a backend that takes no time, without passes."""
    monkeypatch.setitem(BACKENDS._modules, "fake", "tests.fakes.backend")
    monkeypatch.setitem(pipeline.PIPELINES, "fake", ())
    return importlib.import_module("tests.fakes.backend")


def request(output, **changes):
    given = {
        "source": "small_isp",
        "output": output,
        "backend": "fake",
        "options": SMALL,
        "size": (32, 48),
    }
    return CompileRequest(**(given | changes))


@pytest.fixture
def checkpoint(tmp_path):
    def save(card=CARD):
        path = tmp_path / "small.safetensors"
        state = build_model("small_isp", SMALL, seed=7).state_dict()
        save_checkpoint(path, model="small_isp", options=SMALL, state=state, card=card)
        return path

    return save


def test_fresh_weights_make_an_artifact_that_says_so(tmp_path):
    before = datetime.now(UTC)
    steps = []
    artifact = compile_model(request(tmp_path / "a"), on_step=steps.append)
    manifest = Artifact.open(artifact.folder).manifest
    assert manifest.source.seed == 0
    assert manifest.source.options == build_options()
    assert "Untrained" in manifest.card.description
    assert manifest.tools["fake"] == "1"
    assert before <= manifest.created <= datetime.now(UTC)
    assert (manifest.tile.stride, manifest.tile.scale, manifest.tile.minimum) == (16, 2, 32)
    assert manifest.tile.halo == build_model("small_isp", SMALL).halo
    (program,) = manifest.programs
    assert program.inputs[0].shape == (1, 4, 32, 48)
    assert program.outputs[0].shape == (1, 3, 64, 96)
    assert program.flops == 2 * program.macs > 0
    assert steps[0] == "building the network"
    assert steps[-1] == "checking the programs"
    assert (manifest.checked, manifest.notes) == ("not_run", ("written by a fake",))


def build_options():
    from edge_pipeline.models.base import options_of

    return options_of("small_isp", SMALL)


def test_the_reference_is_what_eager_gives(tmp_path):
    import torch

    artifact = compile_model(request(tmp_path / "a", seed=3))
    inputs, outputs = artifact.reference("forward")
    model = build_model("small_isp", SMALL, seed=3)
    with torch.no_grad():
        expected = model(torch.from_numpy(inputs["packed"]))
    assert np.array_equal(outputs["rgb"], expected.numpy())


def test_two_compilations_agree_to_the_bit_and_seeds_differ(tmp_path):
    def reference(name, seed):
        artifact = compile_model(request(tmp_path / name, seed=seed))
        return sha256_of(artifact.path("forward.reference.safetensors"))

    first = reference("a", 0)
    assert reference("b", None) == first
    assert reference("c", 1) != first


@pytest.mark.parametrize("hyper", [False, True])
def test_a_phi_network_is_compiled_with_and_without_its_hypernetwork(tmp_path, hyper):
    options = {"encoder": "4-6-8", "decoder": "6-4", "hidden2": 8, "hyper": hyper}
    target, size = tmp_path / "a", (33, 48)
    artifact = compile_model(
        request(target, source="phi_unet_pets", options=options, fixed={"phi": 0.35}, size=size)
    )
    assert artifact.manifest.fixed == {"phi": 0.35}
    assert artifact.manifest.filters == ("specialised" if hyper else "dynamic")
    (program,) = artifact.manifest.programs
    assert program.inputs[0].shape == (1, 3, 33, 48)


def test_split_gives_two_programs_that_fit_together(tmp_path):
    manifest = compile_model(request(tmp_path / "a", filters="split")).manifest
    predictor, path = manifest.programs
    assert [t.name for t in path.inputs] == ["packed", *(t.name for t in predictor.outputs)]
    layouts = {t.layout for t in predictor.outputs}
    assert layouts == {"OIHW", "NCHW"}


def test_folded_records_the_calibration_set_that_comes_with_the_project(tmp_path):
    manifest = compile_model(request(tmp_path / "a", filters="folded")).manifest
    captures = sorted((packaged("calibration") / "captures").glob("*.dng"))
    assert [f.name for f in manifest.calibration.files] == [p.name for p in captures]
    assert [f.sha256 for f in manifest.calibration.files] == [sha256_of(p) for p in captures]


def test_folding_says_what_it_loses(tmp_path):
    manifest = compile_model(request(tmp_path / "a", filters="folded")).manifest
    (loss,) = manifest.losses
    assert (loss.cause, loss.metric) == ("folding", "psnr_db")
    assert loss.loss == loss.before - loss.after
    assert len(loss.on.files) == 6
    assert manifest.calibration.sha256


def test_int8_is_calibrated_on_varied_captures_and_the_bundled_one(tmp_path):
    artifact = compile_model(request(tmp_path / "a", precision="int8"))
    manifest = artifact.manifest
    names = [f.name for f in manifest.precision_calibration.files]
    assert names[-1] == "colorchart.dng"
    assert {"none", "low", "medium", "high"} <= {name.rpartition(" ")[2] for name in names}
    samples = artifact.path("forward.txt").read_text().rpartition("\n")[2]
    assert int(samples.removesuffix(" samples")) > len(names)
    assert manifest.losses == ()  # the fake cannot be run


def test_a_checkpoint_keeps_its_options_card_and_hash(tmp_path, checkpoint):
    path = checkpoint()
    artifact = compile_model(request(tmp_path / "a", source=path, options={}))
    source = artifact.manifest.source
    assert (source.checkpoint_sha256, source.seed) == (sha256_of(path), None)
    assert source.options["width"] == 4
    assert artifact.manifest.card.licence == "CC0-1.0"


@pytest.mark.parametrize(
    ("changes", "kind", "words"),
    [
        ({"backend": "tpu"}, UnknownNameError, "'tpu'.*executorch"),
        ({"source": "resnet"}, InputError, "'resnet' is neither .* hyperconv_unet"),
        ({"source": "gone.safetensors"}, CheckpointError, r"gone\.safetensors"),
        ({"options": {"wide": 4}}, InputError, "no option 'wide'"),
        ({"options": {"width": "three"}}, InputError, "width=three"),
        (
            {"size": (100, 96)},
            InputError,
            "side of 100; the sides of packed must be multiples of 16",
        ),
        ({"size": (16, 96)}, InputError, "side of 16"),
        ({"calibration": (Path("x.dng"),)}, InputError, r"x\.dng does not exist"),
        ({"calibration": (CHART,)}, InputError, "needs no calibration"),
        ({"precision": "fp16"}, InputError, "fake does not support fp16; it supports fp32, int8"),
        ({"fixed": {"phi": 0.5}}, InputError, "SmallISP.forward has no parameter 'phi'"),
        ({"fixed": {"x": 0.5}}, InputError, "an input of SmallISP cannot be fixed"),
        ({"source": "phi_unet_pets", "options": {}}, InputError, "give --fix phi=VALUE"),
        (
            {"respecialisable": True, "precision": "int8"},
            InputError,
            "scales belong to the weights",
        ),
        ({"respecialisable": True}, InputError, "requires one fixed number"),
        (
            {"filters": "folded", "options": SMALL | {"hyper": False}},
            InputError,
            "computes no weights",
        ),
    ],
)
def test_bad_input_is_said_in_a_sentence_and_writes_nothing(tmp_path, changes, kind, words):
    with pytest.raises(kind, match=words):
        compile_model(request(tmp_path / "a", **changes))
    assert not list(tmp_path.iterdir())


def test_an_empty_calibration_set_is_refused(tmp_path):
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "a.mask.png").write_bytes(b"")
    with pytest.raises(InputError, match=r"calibration set .*set is empty"):
        compile_model(request(tmp_path / "a", filters="folded", calibration=(tmp_path / "set",)))
    assert not (tmp_path / "a").exists()


def test_a_calibration_capture_that_cannot_be_read_is_named(tmp_path):
    bad = tmp_path / "bad.dng"
    bad.write_bytes(b"II*\0nonsense")
    with pytest.raises(CaptureError, match=r"bad\.dng"):
        compile_model(request(tmp_path / "a", filters="folded", calibration=(bad,)))
    assert [p.name for p in tmp_path.iterdir()] == ["bad.dng"]


def test_a_checkpoint_takes_no_options_and_no_seed(tmp_path, checkpoint):
    path = checkpoint()
    for changes, words in [({"options": SMALL}, "option width"), ({"seed": 1}, "a seed")]:
        with pytest.raises(InputError, match=f"leave out .*{words}"):
            compile_model(request(tmp_path / "a", **({"source": path, "options": {}} | changes)))


def test_a_card_that_says_nothing_usable_is_refused(tmp_path, checkpoint):
    path = checkpoint({"name": "small"})
    with pytest.raises(CheckpointError, match="wrong model card at description"):
        compile_model(request(tmp_path / "a", source=path, options={}))


def test_a_folder_that_stands_there_is_replaced_only_when_forced(tmp_path):
    folder = tmp_path / "a"
    compile_model(request(folder, seed=1))
    with pytest.raises(OutputError, match="--force"):
        compile_model(request(folder))
    assert Artifact.open(folder).manifest.source.seed == 1
    compile_model(request(folder, force=True))
    assert Artifact.open(folder).manifest.source.seed == 0


@pytest.mark.parametrize("failure", [KeyboardInterrupt, OSError("no space left on device")])
def test_what_goes_wrong_midway_leaves_nothing_behind(tmp_path, monkeypatch, fake_backend, failure):
    def fail(*_):
        raise failure

    monkeypatch.setattr(fake_backend, "emit", fail)
    with pytest.raises((KeyboardInterrupt, OSError)):
        compile_model(request(tmp_path / "a"))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("what", ["file", "photographs", "file/below", "link"])
def test_a_place_that_cannot_take_the_artifact_is_refused_before_the_work(tmp_path, what):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    (tmp_path / "photographs").mkdir()
    (tmp_path / "photographs" / "a.jpg").write_bytes(b"x")
    steps = []
    with pytest.raises(OutputError):
        compile_model(request(tmp_path / what, force=True), on_step=steps.append)
    assert steps == []
    assert (tmp_path / "file").read_text() == "mine"


def test_weights_of_another_network_are_told_with_the_checkpoints_name(tmp_path):
    path = tmp_path / "other.safetensors"
    state = build_model("small_isp", {"width": 8}).state_dict()
    save_checkpoint(path, model="small_isp", options=SMALL, state=state, card=CARD)
    with pytest.raises(CheckpointError, match=r"other\.safetensors: the weights do not fit"):
        compile_model(request(tmp_path / "a", source=str(path), options={}))


def test_an_output_inside_an_artifact_is_refused(tmp_path):
    compile_model(request(tmp_path / "a"))
    with pytest.raises(OutputError, match="lies inside the artifact"):
        compile_model(request(tmp_path / "a" / "sub"))
    Artifact.open(tmp_path / "a")


@pytest.mark.parametrize("force", [False, True])
def test_an_output_that_holds_its_source_is_refused(tmp_path, checkpoint, force):
    path = checkpoint()
    with pytest.raises(OutputError, match=r"the source .*small\.safetensors lies inside"):
        compile_model(request(tmp_path, source=path, options={}, force=force))
    assert [file.name for file in tmp_path.iterdir()] == ["small.safetensors"]


def test_an_output_that_holds_its_captures_is_refused(tmp_path):
    (tmp_path / "captures").mkdir()
    (tmp_path / "captures" / "a.dng").write_bytes(CHART.read_bytes())
    given = request(tmp_path, filters="folded", calibration=(tmp_path / "captures",))
    with pytest.raises(OutputError, match=r"the source .*a\.dng lies inside"):
        compile_model(given)
