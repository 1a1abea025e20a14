"""Faults in the data and the steps of a segmenter's training: each is named, nothing is lost."""

import numpy as np
import pytest
import safetensors.torch
from PIL import Image

from edge_pipeline.errors import InputError, JobError
from edge_pipeline.train.loop import train
from edge_pipeline.train.tasks.segmentation import SegmentationTask
from tests.fakes.segmenters import equal, opened, run, slow_unless
from tests.fakes.trainings import CPU, SIZE, discs_recipe, write_discs


def wrong_size(folder):
    Image.new("L", (5, 5)).save(folder / "train/masks/train0.png")


def wrong_label(folder):
    Image.fromarray(np.full(SIZE, 7, np.uint8)).save(folder / "train/masks/train0.png")


def unreadable(folder):
    (folder / "train/images/train0.png").write_bytes(b"no picture")


def unreadable_validation(folder):
    (folder / "val/images/val0.png").write_bytes(b"no picture")


FAULTS = {
    "wrong_size": (
        wrong_size,
        r"masks/train0.png has 5 x 5 pixels and its picture .*train0.png has 28 x 24",
    ),
    "wrong_label": (wrong_label, "masks/train0.png has the value 7, which is no label of own"),
    "unreadable": (unreadable, "images/train0.png cannot be read as a picture"),
    "unreadable_validation": (
        unreadable_validation,
        "images/val0.png cannot be read as a picture",
    ),
}


@pytest.mark.parametrize("fault", slow_unless(FAULTS, "wrong_label"))
def test_a_fault_in_the_data_is_named_and_no_step_is_lost(own, tmp_path, fault):
    recipe = discs_recipe(own, batch=1, steps=12)
    originals = {path: path.read_bytes() for path in own.rglob("*.png")}
    damage, message = FAULTS[fault]
    damage(own)
    steps = []
    with pytest.raises(InputError, match=message):
        train(
            recipe, tmp_path / "run", machines=CPU, every=12, report=lambda p: steps.append(p.step)
        )
    for path, content in originals.items():
        path.write_bytes(content)
    # Sample 0 comes after some steps, which the state has.
    assert steps[-1] == (11 if fault.endswith("validation") else len(steps))
    more, parts = run(recipe, tmp_path / "run", resume=True, every=12)
    losses, whole = run(recipe, tmp_path / "whole", every=12)
    assert losses[len(losses) - len(more) :] == more
    assert len(more) < 12
    assert equal(parts, whole)


@pytest.mark.parametrize("split", ["train", "val"])
def test_an_empty_split_is_named_before_anything_is_written(own, tmp_path, split):
    for path in (own / split).rglob("*.png"):
        path.unlink()
    with pytest.raises(InputError, match=f"the split {split} of the data set folder contains no"):
        train(discs_recipe(own), tmp_path / "run", machines=CPU)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"in_channels": 1}, r"options.in_channels: 1 does not fit .* of 3 channels and 2 labels"),
        ({"out_channels": 3}, r"options.out_channels: 3 does not fit .*; it must be 1 or 2"),
    ],
)
def test_a_network_that_does_not_fit_the_data_is_refused(discs, tmp_path, options, message):
    with pytest.raises(InputError, match=message):
        train(discs_recipe(discs, None, options), tmp_path / "run", machines=CPU)
    assert not (tmp_path / "run").exists()


def test_three_labels_need_three_outputs(tmp_path):
    folder = write_discs(tmp_path / "three", labels=3)
    data = {"folder": str(folder), "licence": "CC0-1.0", "labels": ["ground", "sun", "tree"]}
    for outputs in (1, 2):
        with pytest.raises(InputError, match="of 3 channels and 3 labels; it must be 3"):
            opened(discs_recipe(folder, {"options": data}, {"out_channels": outputs}))
    recipe = discs_recipe(folder, {"options": data}, {"out_channels": 3}, steps=2)
    assert run(recipe, tmp_path / "run")[1].card["labels"] == ["ground", "sun", "tree"]


def test_a_diverged_training_keeps_its_state_and_its_advice_works(discs, tmp_path, monkeypatch):
    recipe = discs_recipe(discs, steps=8)
    real = SegmentationTask.loss
    calls = []

    def loss(self, model, batch):
        calls.append(0)
        return real(self, model, batch) * (float("nan") if len(calls) == 6 else 1)

    with monkeypatch.context() as patch:
        patch.setattr(SegmentationTask, "loss", loss)
        with pytest.raises(JobError, match="the loss is nan at step 5; train again") as caught:
            train(recipe, tmp_path / "run", machines=CPU, every=2)
    advised = tmp_path / "run" / "checkpoint.safetensors"
    assert f"--start {advised}" in str(caught.value)
    state = safetensors.torch.load_file(tmp_path / "run" / "state.safetensors")
    assert all(value.isfinite().all() for value in state.values())
    lower = discs_recipe(discs, steps=2, learning_rate=1e-5)
    losses, _ = run(lower, tmp_path / "again", start=advised)
    assert np.isfinite(losses).all()


def test_a_gradient_that_is_not_finite_changes_no_weight(discs, tmp_path, monkeypatch):
    real = SegmentationTask.loss

    def loss(self, model, batch):
        """Finite, with a gradient of NaN: that of a root at 0."""
        return real(self, model, batch) + (0 * next(model.parameters()).sum()).sqrt()

    monkeypatch.setattr(SegmentationTask, "loss", loss)
    with pytest.raises(JobError, match="the norm of the gradient is nan at step 0; train again"):
        train(discs_recipe(discs), tmp_path / "run", machines=CPU)
    assert not (tmp_path / "run" / "state.safetensors").exists()  # nothing to continue
