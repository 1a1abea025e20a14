import os
import signal

import pytest
import safetensors.torch
import torch

from edge_pipeline.artifact.provenance import ModelCard
from edge_pipeline.errors import CheckpointError, InputError, JobError, OutputError
from edge_pipeline.files import MANIFEST_FILE, SEAL_FILE
from edge_pipeline.models.base import build_model
from edge_pipeline.models.checkpoint import load_checkpoint
from edge_pipeline.train.loop import learning_rate, train
from edge_pipeline.train.machines import Machines
from tests.fakes.trainings import CPU, isp_recipe, shared_recipe

KINDS = {
    "a capture a sample": lambda: isp_recipe({"crop": 96, "loss": {}}),
    "shared filters": shared_recipe,
    "bfloat16": lambda: shared_recipe("bf16-mixed"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_stopped_and_resumed_training_equals_one_without_a_stop(tmp_path, kind):
    made = KINDS[kind]()
    whole = train(made, tmp_path / "whole", machines=CPU, every=100)

    def stop(progress):
        if progress.step == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(made, tmp_path / "parts", machines=CPU, every=100, report=stop)
    seen = []
    parts = train(made, tmp_path / "parts", resume=True, machines=CPU, report=seen.append)
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
            train(isp_recipe(), tmp_path / "parts", machines=CPU, every=100)
    parts = train(isp_recipe(), tmp_path / "parts", resume=True, machines=CPU, every=100)
    whole = train(isp_recipe(), tmp_path / "whole", machines=CPU, every=100)
    first, second = (safetensors.torch.load_file(path) for path in (whole, parts))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_training_that_lost_its_last_checkpoint_writes_it(tmp_path):
    checkpoint = train(isp_recipe(), tmp_path / "run", machines=CPU)
    before = load_checkpoint(checkpoint)
    checkpoint.unlink()
    assert train(isp_recipe(), tmp_path / "run", resume=True, machines=CPU) == checkpoint
    after = load_checkpoint(checkpoint)
    assert after.card == before.card
    assert all(torch.equal(after.state[name], before.state[name]) for name in before.state)


def test_a_missing_gpu_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError, match="no CUDA device here; give --accelerator cpu"):
        train(isp_recipe(), tmp_path / "run", machines=Machines("cuda"))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
def test_trains_on_a_gpu(tmp_path):
    checkpoint = load_checkpoint(train(isp_recipe(), tmp_path / "run", machines=Machines("cuda")))
    assert checkpoint.card["metrics"]["training_steps"] == 6


def test_checkpoint_builds_and_its_card_is_a_model_card(tmp_path):
    checkpoint = load_checkpoint(train(isp_recipe(), tmp_path / "run", machines=CPU))
    card = ModelCard.model_validate(checkpoint.card)
    assert card.metrics["training_steps"] == 6
    assert set(card.metrics) >= {f"psnr_srgb_db_{k}" for k in ("none", "low", "medium", "high")}
    assert checkpoint.build()(torch.rand(1, 4, 32, 32)).isfinite().all()
    assert list((tmp_path / "run").glob("events.out.tfevents.*"))


def test_a_training_is_not_overwritten_nor_mixed_with_another(tmp_path):
    folder = tmp_path / "run"
    with pytest.raises(OutputError, match="no training; leave out --resume"):
        train(isp_recipe(), folder, resume=True)
    train(isp_recipe(), folder, machines=CPU)
    with pytest.raises(OutputError, match="contains a training; give --resume"):
        train(isp_recipe(), folder)
    with pytest.raises(CheckpointError, match="another recipe"):
        train(isp_recipe(seed=1), folder, resume=True)
    (folder / "state.safetensors").write_bytes(b"cut")
    with pytest.raises(CheckpointError, match="cannot be read as a training state"):
        train(isp_recipe(), folder, resume=True)


def test_a_loss_that_is_not_finite_stops_the_training(tmp_path):
    wild = {"learning_rate": 1e30, "batch": 1, "steps": 300}
    with pytest.raises(JobError, match=r"the loss is (nan|inf) at step"):
        train(isp_recipe(optimiser=wild), tmp_path / "run", machines=CPU, every=1000)


def one_step(folder, **optimiser):
    """The weights before and after a step of plain Adam in which all but the clip is fixed."""
    chosen = shared_recipe()
    settings = chosen.optimiser.model_copy(update={"steps": 1, "average": 0.0} | optimiser)
    chosen = chosen.model_copy(update={"optimiser": settings})
    before = build_model(chosen.model, chosen.options, seed=chosen.seed).state_dict()
    after = load_checkpoint(train(chosen, folder, machines=CPU)).state
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


def test_a_training_begins_with_the_weights_of_a_checkpoint(tmp_path):
    first = train(isp_recipe(), tmp_path / "first", machines=CPU)
    still = isp_recipe(optimiser={"learning_rate": 1e-30, "steps": 1, "average": 0})
    second = train(still, tmp_path / "second", start=first, machines=CPU)
    before, after = (load_checkpoint(path).state for path in (first, second))
    assert all(torch.equal(before[name], after[name]) for name in before)
    other = isp_recipe(options={"n_fwd": 4, "n_embed": 2, "n_hid": 2, "head": "shuffle"})
    with pytest.raises(CheckpointError, match=r"'n_fwd': 2.*trains hyperconv_unet.*'n_fwd': 4"):
        train(other, tmp_path / "third", start=first, machines=CPU)
    assert not (tmp_path / "third").exists()


def test_rate_is_constant_then_falls_to_nothing():
    chosen = isp_recipe(optimiser={"learning_rate": 1.0, "steps": 1000, "decay_from": 0.5})
    assert learning_rate(chosen, 0) == pytest.approx(1 / 200)
    assert learning_rate(chosen, 400) == 1
    assert learning_rate(chosen, 750) == pytest.approx(0.5)
    assert learning_rate(chosen, 1000) == pytest.approx(0)


def test_a_file_in_the_place_of_the_run_is_refused_by_name(tmp_path):
    (tmp_path / "run").write_text("mine")
    with pytest.raises(OutputError, match=r"cannot create the folder .*run: File exists"):
        train(isp_recipe(), tmp_path / "run", machines=CPU)
    assert (tmp_path / "run").read_text() == "mine"


def test_wrong_data_leaves_no_folder(tmp_path):
    part = {"dataset": "procedural", "options": {"cnt": 2}}
    with pytest.raises(InputError, match="cnt"):
        train(isp_recipe({"data": [part]}), tmp_path / "run", machines=CPU)
    assert not (tmp_path / "run").exists()


def test_a_run_inside_an_artifact_is_refused(tmp_path):
    for name in (MANIFEST_FILE, SEAL_FILE):
        (tmp_path / name).write_bytes(b"x")
    with pytest.raises(OutputError, match="lies inside the artifact"):
        train(isp_recipe(), tmp_path / "run", machines=CPU)
    assert not (tmp_path / "run").exists()
