"""The task of segmentation on a small data set of discs, which a test writes."""

import os
import signal

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from edge_pipeline.artifact.provenance import ModelCard
from edge_pipeline.data.labelled import IGNORED, load_labelled
from edge_pipeline.models.base import build_model
from edge_pipeline.train.evaluation import (
    SizedPictures,
    coloured,
    evaluate,
    predicted_mask,
    sized,
)
from edge_pipeline.train.loop import train
from edge_pipeline.train.recipe import load_recipe, settings_of
from edge_pipeline.train.task import Share, Validation
from edge_pipeline.train.tasks.segmentation import SegmentationTask
from tests.fakes.segmenters import equal, opened, run, slow_unless
from tests.fakes.trainings import CPU, SIZE, discs_recipe, half_losses


def network(recipe):
    model = build_model(recipe.model, recipe.options)
    model.rescale_weights()
    return model


def test_a_batch_depends_on_its_number_and_the_seed_alone(discs):
    task = opened(discs_recipe(discs))
    task.batch(0, Share())
    again, other = opened(discs_recipe(discs)), discs_recipe(discs).model_copy(update={"seed": 1})
    batch, same = task.batch(4, Share()), again.batch(4, Share())
    assert all(torch.equal(*pair) for pair in zip(batch, same, strict=True))
    assert batch.pictures.shape == (4, 3, 16, 16)
    assert (batch.masks.shape, batch.masks.dtype) == ((4, 16, 16), torch.int64)
    assert set(batch.masks.unique().tolist()) <= {0, 1}
    assert 0.2 <= float(batch.phi) <= 0.6
    for different in (task.batch(5, Share()), opened(other).batch(4, Share())):
        assert not torch.equal(different.pictures, batch.pictures)
        assert not torch.equal(different.phi, batch.phi)


def test_phi_and_each_sample_have_generators_of_their_own(discs):
    """NumPy's seeds [a, b] and [a, b, 0] are the same, which would tie sample 0 to phi."""
    task = opened(discs_recipe(discs))
    drawn = []

    def sample(rng):
        drawn.append(rng.random())
        return torch.zeros(3, 2, 2), torch.zeros(2, 2)

    task._sample = sample
    for step in range(5):
        phi = float(task.batch(step, Share()).phi)
        drawn.append((phi - 0.2) / 0.4)
    assert len(set(np.round(drawn, 6))) == 5 * (4 + 1)


@pytest.mark.parametrize("loss", [{}, {"share": 0.3}, {"cross_entropy": 0, "dice": 1}])
def test_the_shares_of_two_processes_are_the_batch_and_their_mean_loss_is_its_loss(discs, loss):
    recipe = discs_recipe(discs, {"loss": loss})
    task, model = opened(recipe, 2), network(recipe)
    whole = task.batch(3, Share())
    for rank in range(2):
        half = task.batch(3, Share(rank, 2))
        assert torch.equal(half.pictures, whole.pictures[rank::2])
        assert torch.equal(half.masks, whole.masks[rank::2])
        assert torch.equal(half.phi, whole.phi)
    mean = torch.stack(half_losses(task, model, 3)).mean()
    torch.testing.assert_close(mean, task.loss(model, whole))


def test_a_picture_that_does_not_fit_into_memory_is_read_again(discs, monkeypatch):
    expected = opened(discs_recipe(discs)).batch(0, Share())
    monkeypatch.setattr("edge_pipeline.train.evaluation._CACHED_BYTES", 0)
    task = opened(discs_recipe(discs))
    for _ in range(2):
        assert torch.equal(task.batch(0, Share()).pictures, expected.pictures)
    assert task._training._cache == {}


def test_the_losses_are_weighted(discs):
    def loss(**weights):
        recipe = discs_recipe(discs, {"loss": {"cross_entropy": 0} | weights})
        task = opened(recipe)
        return task.loss(network(recipe), task.batch(0, Share()))

    both = loss(cross_entropy=2, dice=3)
    torch.testing.assert_close(both, 2 * loss(cross_entropy=1) + 3 * loss(dice=1))


KINDS = {
    "one output": ({}, {}),
    "two outputs": ({"out_channels": 2}, {"loss": {"dice": 1}}),
    "separate factors": ({"encoder": "4-6-6", "decoder": "6-4", "separate": True}, {}),
    "variable resolution": ({"rescaled": "picture"}, {}),
    "variable resolution of one phi": ({"rescaled": "picture", "hyper": False}, {}),
    "a fixed phi": (
        {"hyper": False},
        {"prior": {"low": 0.4, "high": 0.4}, "validation_phi": [0.4]},
    ),
}


@pytest.mark.parametrize(
    "kind", slow_unless(KINDS, "one output", "separate factors", "a fixed phi")
)
def test_the_loss_falls_and_the_validation_has_metrics_of_each_phi(discs, tmp_path, kind):
    options, settings = KINDS[kind]
    recipe = discs_recipe(discs, settings, options, steps=20, learning_rate=0.3)
    recipe = recipe.model_copy(update={"rescale": recipe.options.get("hyper", True)})
    losses, checkpoint = run(recipe, tmp_path / "run")
    assert np.mean(losses[-4:]) < 0.85 * np.mean(losses[:4])
    card = ModelCard.model_validate(checkpoint.card)
    expected = {
        f"{m}_phi_{phi:g}" for m in ("dice", "miou") for phi in recipe.settings["validation_phi"]
    }
    assert set(card.metrics) == expected | {"training_steps"}
    assert (checkpoint.card["labels"], checkpoint.card["background"]) == (["ground", "disc"], True)
    assert checkpoint.card["training_data"] == ["set (6 pictures; CC0-1.0)"]


def test_separate_factors_are_drawn_separately(discs):
    recipe = discs_recipe(discs, None, {"encoder": "4-6-6", "decoder": "6-4", "separate": True})
    phi = opened(recipe).batch(0, Share()).phi
    assert phi.shape == (2,)
    assert phi[0] != phi[1]


def test_the_log_has_losses_metrics_and_pictures_of_the_validation(discs, tmp_path):
    run(discs_recipe(discs, steps=4), tmp_path / "run", every=2)
    log = EventAccumulator(str(tmp_path / "run")).Reload()
    assert [event.step for event in log.Scalars("validation/dice_phi_0.3")] == [2, 4]
    assert [event.step for event in log.Scalars("loss")] == [4]
    assert log.Tags()["images"] == [f"validation/val{index}" for index in range(3)]
    shown = log.Images("validation/val0")[0]
    assert (shown.height, shown.width) == (SIZE[0], 3 * SIZE[1])  # picture, true, predicted


class Scores:
    """Validation with the given scores in order."""

    def __init__(self, monkeypatch, scores):
        self.left = list(scores)
        monkeypatch.setattr(SegmentationTask, "validate", lambda *_: self.next())

    def next(self):
        score = self.left.pop(0)
        return Validation({"dice": score}, score, f"{score}")


def test_early_stopping_keeps_the_best_weights(discs, tmp_path, monkeypatch):
    recipe = discs_recipe(discs, patience=2, steps=20)
    Scores(monkeypatch, [0.1, 0.5, 0.2, 0.4, 0.9])
    losses, checkpoint = run(recipe, tmp_path / "run", every=1)
    assert len(losses) == 4
    assert checkpoint.card["metrics"] == {"dice": 0.5, "training_steps": 2.0}
    Scores(monkeypatch, [0.1, 0.5])
    _, two = run(discs_recipe(discs, steps=2), tmp_path / "two", every=1)
    assert equal(checkpoint, two)
    # A training that has stopped early stays so.
    losses, same = run(recipe, tmp_path / "run", every=1, resume=True)
    assert losses == []
    assert equal(checkpoint, same)


def test_early_stopping_counts_on_after_a_stop(discs, tmp_path, monkeypatch):
    recipe = discs_recipe(discs, patience=2, steps=20)
    Scores(monkeypatch, [0.5, 0.3])

    def stop(progress):
        if progress.step == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(recipe, tmp_path / "run", machines=CPU, every=1, report=stop)
    Scores(monkeypatch, [0.4])
    losses, checkpoint = run(recipe, tmp_path / "run", every=1, resume=True)
    assert len(losses) == 1
    assert checkpoint.card["metrics"]["dice"] == 0.5


def test_a_validation_without_a_score_is_never_the_best(discs, tmp_path, monkeypatch):
    Scores(monkeypatch, [float("nan"), 0.2, float("nan"), 0.1])
    recipe = discs_recipe(discs, patience=2, steps=20)
    losses, checkpoint = run(recipe, tmp_path / "run", every=1)
    assert len(losses) == 4
    assert checkpoint.card["metrics"]["dice"] == 0.2


def test_a_stopped_and_resumed_training_equals_one_without_a_stop(discs, tmp_path):
    recipe = discs_recipe(discs, {"augmentation": {"rotate": True, "zoom": [0.7, 1.4]}})
    losses, whole = run(recipe, tmp_path / "whole")
    seen = []

    def stop(progress):
        seen.append(progress.loss)
        if progress.step == 3:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        train(recipe, tmp_path / "parts", machines=CPU, every=100, report=stop)
    more, parts = run(recipe, tmp_path / "parts", resume=True)
    assert seen + more == losses
    assert equal(parts, whole)


def test_the_seed_decides(discs, tmp_path):
    recipe = discs_recipe(discs)
    first, again = (run(recipe, tmp_path / name)[0] for name in ("first", "again"))
    other = run(recipe.model_copy(update={"seed": 1}), tmp_path / "other")[0]
    assert first == again
    assert first != other


def test_an_evaluation_is_that_of_the_predicted_masks(discs):
    recipe = discs_recipe(discs)
    data = load_labelled("folder", "val", settings_of(recipe).options)
    always = torch.nn.Conv2d(3, 1, 1)
    with torch.no_grad():
        always.weight.zero_()
        always.bias.fill_(1)

    class Everywhere(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = always

        def forward(self, x, phi):
            return self.layer(x)

    shares = [data.read(index)[1].mean() for index in range(len(data))]
    found = evaluate(Everywhere(), SizedPictures(data, None), 0.3)
    assert found.dice == pytest.approx(np.mean([2 * share / (1 + share) for share in shares]))
    assert found.iou == pytest.approx(np.mean(shares))
    with torch.no_grad():
        always.bias.fill_(-1)
    assert evaluate(Everywhere(), SizedPictures(data, (8, 8)), 0.3).dice == 0


@pytest.mark.parametrize("outputs", [1, 3])
def test_the_predicted_label_is_the_most_probable(outputs):
    scores = torch.randn(1, outputs, 5, 6)

    class Fixed(torch.nn.Linear):
        def forward(self, x, phi):
            return scores

    mask = predicted_mask(Fixed(1, 1), torch.zeros(3, 5, 6), 0.3)
    expected = scores[0].argmax(0) if outputs > 1 else (scores[0, 0].sigmoid() > 0.5).int()
    np.testing.assert_array_equal(mask, expected.numpy())


def test_pictures_and_masks_are_scaled_together():
    mask = np.zeros((12, 12), np.uint8)
    mask[:, 6:] = 1
    picture = np.repeat(mask[None].astype(np.float32), 3, 0)
    image, labels = sized(picture, mask, (4, 6))
    assert (image.shape, labels.shape) == ((3, 4, 6), (4, 6))
    assert ((image[0] > 0.5).to(torch.uint8) == labels).all()
    same = sized(picture, mask, None)
    np.testing.assert_array_equal(same[0], picture)


def test_masks_are_shown_in_distinct_colours():
    shown = coloured(np.array([[0, 1, 2, 3, IGNORED]], np.uint8), 4)
    colours = {tuple(colour) for colour in shown[:, 0].T.tolist()}
    assert len(colours) == 5
    assert shown[:, 0, 0].tolist() == [0, 0, 0]
    assert shown[:, 0, 4].tolist() == [0.5, 0.5, 0.5]


def test_the_shipped_recipe_of_nuclei_is_valid():
    recipe = load_recipe("phi_unet_nuclei")
    assert settings_of(recipe).dataset == "nuclei"
