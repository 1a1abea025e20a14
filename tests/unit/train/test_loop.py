import os
import signal

import pytest
import safetensors.torch
import torch
from PIL import Image

from edge_pipeline.artifact.provenance import ModelCard
from edge_pipeline.errors import CheckpointError, InputError, JobError, OutputError
from edge_pipeline.files import MANIFEST_FILE, SEAL_FILE
from edge_pipeline.models.base import build_model
from edge_pipeline.models.checkpoint import load_checkpoint
from edge_pipeline.models.cost import cost_of_name
from edge_pipeline.train.batches import Batch
from edge_pipeline.train.loop import _developed as developed_by
from edge_pipeline.train.loop import learning_rate, loss_of, train
from edge_pipeline.train.recipe import LossWeights, Recipe, load_recipe, recipe_names

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


def shared_recipe(precision="32-true"):
    """With the network, the loss and the settings that the shipped model is trained with."""
    return recipe(
        model="hyperconv_isp",
        options={"width": 4, "coarse": 4, "n_basis": 2},
        crop=32,
        shared_filters=True,
        loss={
            "mse": 0,
            "ms_ssim": 0,
            "log_coded": 1,
            "alternation": 0.5,
            "phase_mean": 1,
            "border": 4,
        },
        optimiser={
            "learning_rate": 1e-3,
            "batch": 2,
            "steps": 6,
            "average": 0.5,
            "clip": 1.0,
            "precision": precision,
        },
    )


KINDS = {
    "a capture a sample": recipe,
    "shared filters": shared_recipe,
    "bfloat16": lambda: shared_recipe("bf16-mixed"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_stopped_and_resumed_training_equals_one_without_a_stop(tmp_path, kind):
    recipe = KINDS[kind]
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
    with pytest.raises(OutputError, match="contains a training; give --resume"):
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


def one_step(folder, **optimiser):
    """The weights before and after a step of plain Adam in which all but the clip is fixed."""
    chosen = shared_recipe()
    settings = chosen.optimiser.model_copy(update={"steps": 1, "average": 0.0} | optimiser)
    chosen = chosen.model_copy(update={"optimiser": settings})
    before = build_model(chosen.model, chosen.options, seed=chosen.seed).state_dict()
    after = load_checkpoint(train(chosen, folder, accelerator="cpu")).state
    return before, after


def test_clipping_bounds_the_norm_of_the_gradient(tmp_path, monkeypatch):
    norms = []
    real = torch.optim.Adam.step

    def step(self, *args, **kwargs):
        gradients = [p.grad for group in self.param_groups for p in group["params"]]
        norms.append(float(torch.stack([g.norm() for g in gradients]).norm()))
        return real(self, *args, **kwargs)

    monkeypatch.setattr(torch.optim.Adam, "step", step)
    one_step(tmp_path / "free", clip=0.0)
    one_step(tmp_path / "clipped", clip=0.01)
    assert norms[0] > 0.02
    assert norms[1] == pytest.approx(0.01, rel=1e-3)


def test_every_parameter_is_trained(tmp_path):
    before, after = one_step(tmp_path / "run")
    assert [name for name in before if torch.equal(before[name], after[name])] == []


def test_shared_filters_are_predicted_from_the_crops_side_by_side(tmp_path):
    model = build_model("hyperconv_isp", {"width": 4, "coarse": 4, "n_basis": 2})
    packed = torch.rand(2, 4, 32, 32)
    side_by_side = torch.cat([packed[:1], packed[1:]], 3)
    got = developed_by(model, packed, shared=True)
    expected = model.apply_filters(packed, model.predict_filters(side_by_side))
    torch.testing.assert_close(got, expected, atol=1e-6, rtol=1e-5)
    apart = developed_by(model, packed, shared=False)
    torch.testing.assert_close(apart, model(packed))
    assert not torch.allclose(got, apart)


def test_a_training_begins_with_the_weights_of_a_checkpoint(tmp_path):
    first = train(recipe(), tmp_path / "first", accelerator="cpu")
    still = recipe(optimiser={"learning_rate": 1e-30, "steps": 1, "average": 0})
    second = train(still, tmp_path / "second", start=first, accelerator="cpu")
    before, after = (load_checkpoint(path).state for path in (first, second))
    assert all(torch.equal(before[name], after[name]) for name in before)
    other = recipe(options={"n_fwd": 4, "n_embed": 2, "n_hid": 2, "head": "shuffle"})
    with pytest.raises(CheckpointError, match=r"'n_fwd': 2.*trains hyperconv_unet.*'n_fwd': 4"):
        train(other, tmp_path / "third", start=first, accelerator="cpu")
    assert not (tmp_path / "third").exists()


@pytest.mark.parametrize("border", [0, 4])
def test_a_border_is_not_judged(border):
    weights = LossWeights(mse=1, ms_ssim=0, log_coded=1, border=border)
    target = torch.rand(1, 3, 64, 64)
    batch = Batch(torch.zeros(1, 4, 32, 32), target, torch.eye(3), torch.tensor(1.0))
    wrong = target.clone()
    wrong[..., : 2 * 4, :] += 0.2
    changed = float(loss_of(wrong, batch, weights) - loss_of(target, batch, weights))
    assert (changed == 0) == (border == 4)


def test_an_underexposed_capture_is_judged_as_brightly_as_it_will_be_shown():
    weights = LossWeights(mse=0, ms_ssim=0, log_coded=1)
    target = 0.1 + 0.8 * torch.rand(1, 3, 64, 64)
    picture = target + 0.01 * torch.rand(1, 3, 64, 64)
    packed, matrix = torch.zeros(1, 4, 32, 32), torch.eye(3)
    bright = loss_of(picture, Batch(packed, target, matrix, torch.tensor(1.0)), weights)
    dark = Batch(packed, target / 8, matrix, torch.tensor(8.0))
    torch.testing.assert_close(loss_of(picture / 8, dark, weights), bright)


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
    assert (optimiser.clip, optimiser.precision) == (0, "32-true")
    assert not Recipe.model_fields["shared_filters"].default


@pytest.mark.parametrize(("name", "macs"), [("isp_default", 6_600), ("isp_large", 60_000)])
def test_the_recipes_networks_cost_what_they_may_a_mosaic_pixel(name, macs):
    chosen = load_recipe(name)
    cost = cost_of_name(chosen.model, chosen.options, (4, 256, 256))
    assert 0.9 * macs < cost.path.macs / (4 * 256 * 256) <= macs


def test_the_large_recipe_trains_on_the_default_ones_captures():
    default, large = load_recipe("isp_default"), load_recipe("isp_large")
    for name in ("data", "validation", "loss", "shared_filters", "crop"):
        assert getattr(large, name) == getattr(default, name)


def test_a_small_crop_is_taken_if_the_loss_has_no_ms_ssim():
    assert recipe(crop=32, loss={"ms_ssim": 0}).crop == 32


WHOLE = "name: x\ndata: [{dataset: procedural}]\nvalidation: {dataset: procedural}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: [", "is not YAML"),
        (f"{WHOLE}\ncrop: 100", r"crop: 100 must be a multiple of 16"),
        (f"{WHOLE}\ncrop: 16", "crop: Input should be greater than or equal to 32"),
        (f"{WHOLE}\ncrop: 64", "crop is 64; MS-SSIM in the loss requires at least 88"),
        (f"{WHOLE}\ncrop: 96\nloss: {{border: 8}}", "crop is 96; .* at least 104"),
        (f"{WHOLE}\nloss: {{border: 17}}", "loss.border: Input should be less than"),
        (f"{WHOLE}\noptimiser: {{clip: -1}}", "clip: Input should be greater than"),
        (f"{WHOLE}\noptimiser: {{precision: half}}", "precision: Input should be '32-true' or"),
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
