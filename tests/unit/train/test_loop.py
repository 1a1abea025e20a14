import os
import signal

import pytest
import safetensors.torch
import torch
from PIL import Image

from edge_pipeline.artifact.provenance import ModelCard
from edge_pipeline.errors import CheckpointError, InputError, JobError, OutputError
from edge_pipeline.files import MANIFEST_FILE, SEAL_FILE
from edge_pipeline.models.checkpoint import load_checkpoint
from edge_pipeline.train.loop import learning_rate, train
from edge_pipeline.train.recipe import Recipe, load_recipe, recipe_names

PROCEDURAL = {"dataset": "procedural", "options": {"count": 6, "size": 200}}


def recipe(**changes):
    return Recipe.model_validate(
        {
            "name": "tiny",
            "options": {"n_fwd": 2, "n_embed": 2, "n_hid": 2, "head": "shuffle"},
            "data": [PROCEDURAL],
            "validation": {"dataset": "procedural", "options": {"count": 1, "size": 64}},
            "optimiser": {"learning_rate": 1e-3, "batch": 1, "steps": 6, "average": 0.5},
        }
        | changes
    )


def test_stopped_and_resumed_training_equals_one_without_a_stop(tmp_path):
    whole = train(recipe(), tmp_path / "whole", accelerator="cpu", every=100)

    def stop(progress):
        if progress.step == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(recipe(), tmp_path / "parts", accelerator="cpu", every=100, report=stop)
    seen = []
    parts = train(recipe(), tmp_path / "parts", resume=True, accelerator="cpu", report=seen.append)
    assert [progress.step for progress in seen] == [4, 5, 6]
    first, second = (safetensors.torch.load_file(path) for path in (whole, parts))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_ctrl_c_waits_for_the_end_of_the_step(tmp_path, monkeypatch):
    """It comes between Adam's update and the average; the state is that of a whole step."""
    real = torch.optim.Adam.step

    def step(self, *args, **kwargs):
        result = real(self, *args, **kwargs)
        if next(iter(self.state.values()))["step"] == 2:
            os.kill(os.getpid(), signal.SIGINT)
        return result

    with monkeypatch.context() as patch:
        patch.setattr(torch.optim.Adam, "step", step)
        with pytest.raises(KeyboardInterrupt):
            train(recipe(), tmp_path / "parts", accelerator="cpu", every=100)
    parts = train(recipe(), tmp_path / "parts", resume=True, accelerator="cpu", every=100)
    whole = train(recipe(), tmp_path / "whole", accelerator="cpu", every=100)
    first, second = (safetensors.torch.load_file(path) for path in (whole, parts))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_training_that_lost_its_last_checkpoint_writes_it(tmp_path):
    checkpoint = train(recipe(), tmp_path / "run", accelerator="cpu")
    before = load_checkpoint(checkpoint)
    checkpoint.unlink()
    assert train(recipe(), tmp_path / "run", resume=True, accelerator="cpu") == checkpoint
    after = load_checkpoint(checkpoint)
    assert after.card == before.card
    assert all(torch.equal(after.state[name], before.state[name]) for name in before.state)


def test_a_missing_gpu_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError, match="no CUDA device here; give --accelerator cpu"):
        train(recipe(), tmp_path / "run", accelerator="cuda")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
def test_trains_on_a_gpu(tmp_path):
    checkpoint = load_checkpoint(train(recipe(), tmp_path / "run", accelerator="cuda"))
    assert checkpoint.card["metrics"]["training_steps"] == 6


def test_checkpoint_builds_and_its_card_is_a_model_card(tmp_path):
    checkpoint = load_checkpoint(train(recipe(), tmp_path / "run", accelerator="cpu"))
    card = ModelCard.model_validate(checkpoint.card)
    assert card.metrics["training_steps"] == 6
    assert set(card.metrics) >= {f"psnr_srgb_db_{k}" for k in ("none", "low", "medium", "high")}
    assert checkpoint.build()(torch.rand(1, 4, 32, 32)).isfinite().all()
    assert list((tmp_path / "run").glob("events.out.tfevents.*"))


def test_a_training_is_not_overwritten_nor_mixed_with_another(tmp_path):
    folder = tmp_path / "run"
    with pytest.raises(OutputError, match="no training; leave out --resume"):
        train(recipe(), folder, resume=True)
    train(recipe(), folder, accelerator="cpu")
    with pytest.raises(OutputError, match="holds a training; give --resume"):
        train(recipe(), folder)
    with pytest.raises(CheckpointError, match="another recipe"):
        train(recipe(seed=1), folder, resume=True)
    (folder / "state.safetensors").write_bytes(b"cut")
    with pytest.raises(CheckpointError, match="cannot be read as a training state"):
        train(recipe(), folder, resume=True)


def test_a_loss_that_is_not_finite_stops_the_training(tmp_path):
    wild = {"learning_rate": 1e30, "batch": 1, "steps": 300}
    with pytest.raises(JobError, match=r"the loss is (nan|inf) at step"):
        train(recipe(optimiser=wild), tmp_path / "run", accelerator="cpu", every=1000)


def test_rate_is_constant_then_falls_to_nothing():
    chosen = recipe(optimiser={"learning_rate": 1.0, "steps": 1000, "decay_from": 0.5})
    assert learning_rate(chosen, 0) == pytest.approx(1 / 200)
    assert learning_rate(chosen, 400) == 1
    assert learning_rate(chosen, 750) == pytest.approx(0.5)
    assert learning_rate(chosen, 1000) == pytest.approx(0)


def test_recipes_of_the_package_are_valid_and_the_papers_defaults_are_the_papers():
    for name in recipe_names():
        assert load_recipe(name).name == name
    optimiser = Recipe.model_fields["optimiser"].default
    assert (optimiser.learning_rate, optimiser.betas, optimiser.batch) == (5e-6, (0.7, 0.95), 8)


WHOLE = "name: x\ndata: [{dataset: procedural}]\nvalidation: {dataset: procedural}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: [", "is not YAML"),
        (f"{WHOLE}\ncrop: 100", r"crop: 100 must be a multiple of 16"),
        (f"{WHOLE}\nseed: -1", "seed: Input should be greater than or equal to 0"),
        (f"{WHOLE}\noptions: {{in_channels: 3}}", r"options\.in_channels: 3 does not fit"),
        (f"{WHOLE}\noptions: {{out_channels: 1}}", r"options\.out_channels: 1 does not fit"),
        (f"{WHOLE}\noptimiser: {{betas: [0.9, 1.5]}}", r"betas\.1: Input should be less than 1"),
        (f"{WHOLE}\noptimiser: {{learning_rate: .inf}}", "learning_rate: .* finite"),
        ("name: x", "data: Field required"),
        ("- 1", "the recipe: Input should be a valid dictionary"),
        ("", "the recipe: Input should be a valid dictionary"),
    ],
)
def test_wrong_recipe_is_one_sentence(tmp_path, text, message):
    path = tmp_path / "r.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        load_recipe(str(path))
    with pytest.raises(InputError, match="no recipe 'unheard'"):
        load_recipe("unheard")


def test_a_picture_smaller_than_a_crop_is_extended(tmp_path):
    Image.new("RGB", (40, 30), (90, 80, 70)).save(tmp_path / "a.png")
    part = {"dataset": "photographs", "options": {"folder": str(tmp_path), "licence": "x"}}
    train(recipe(data=[part]), tmp_path / "run", accelerator="cpu")


def test_a_file_in_the_place_of_the_run_is_refused_by_name(tmp_path):
    (tmp_path / "run").write_text("mine")
    with pytest.raises(OutputError, match=r"cannot create the folder .*run: File exists"):
        train(recipe(), tmp_path / "run", accelerator="cpu")
    assert (tmp_path / "run").read_text() == "mine"


def test_wrong_data_leaves_no_folder(tmp_path):
    part = {"dataset": "procedural", "options": {"cnt": 2}}
    with pytest.raises(InputError, match="cnt"):
        train(recipe(data=[part]), tmp_path / "run", accelerator="cpu")
    assert not (tmp_path / "run").exists()


def test_a_run_inside_an_artifact_is_refused(tmp_path):
    for name in (MANIFEST_FILE, SEAL_FILE):
        (tmp_path / name).write_bytes(b"x")
    with pytest.raises(OutputError, match="lies inside the artifact"):
        train(recipe(), tmp_path / "run", accelerator="cpu")
    assert not (tmp_path / "run").exists()
