"""The task of segmentation on a small data set of discs, which a test writes."""

import os
import shutil
import signal

import numpy as np
import pytest
import safetensors.torch
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from edge_pipeline.artifact.provenance import ModelCard
from edge_pipeline.data.labelled import IGNORED, load_labelled
from edge_pipeline.errors import InputError, JobError
from edge_pipeline.models.base import build_model
from edge_pipeline.models.checkpoint import load_checkpoint
from edge_pipeline.train.evaluation import coloured, evaluate, predicted_mask, sized
from edge_pipeline.train.loop import train
from edge_pipeline.train.recipe import load_recipe, settings_of
from edge_pipeline.train.task import Share, Validation
from edge_pipeline.train.tasks.segmentation import SegmentationTask, open_task
from tests.fakes.trainings import CPU, SIZE, discs_recipe, half_losses, write_discs


@pytest.fixture(scope="module")
def discs(tmp_path_factory):
    return write_discs(tmp_path_factory.mktemp("discs") / "set")


@pytest.fixture
def own(discs, tmp_path):
    """A copy of the data set that a test may damage."""
    return shutil.copytree(discs, tmp_path / "own")


def opened(recipe, world=1):
    return open_task(recipe, settings_of(recipe), world)


def network(recipe):
    model = build_model(recipe.model, recipe.options)
    model.rescale_weights()
    return model


def run(recipe, folder, **options):
    """The losses of a training and its checkpoint."""
    losses = []
    path = train(
        recipe,
        folder,
        machines=CPU,
        report=lambda progress: losses.append(progress.loss),
        **{"every": 100} | options,
    )
    return losses, load_checkpoint(path)


def slow_unless(cases, *fast):
    """Cases for `parametrize`, of which all but some are slow."""
    return [pytest.param(case, marks=() if case in fast else pytest.mark.slow) for case in cases]


def equal(first, second):
    return all(torch.equal(first.state[name], second.state[name]) for name in first.state)


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
    monkeypatch.setattr("edge_pipeline.train.tasks.segmentation._CACHED_BYTES", 0)
    task = opened(discs_recipe(discs))
    for _ in range(2):
        assert torch.equal(task.batch(0, Share()).pictures, expected.pictures)
    assert task._cache == {}


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
    found = evaluate(Everywhere(), data, 0.3, None)
    assert found.dice == pytest.approx(np.mean([2 * share / (1 + share) for share in shares]))
    assert found.iou == pytest.approx(np.mean(shares))
    with torch.no_grad():
        always.bias.fill_(-1)
    assert evaluate(Everywhere(), data, 0.3, (8, 8)).dice == 0


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


def test_the_shipped_recipe_of_nuclei_is_valid():
    recipe = load_recipe("phi_unet_nuclei")
    assert settings_of(recipe).dataset == "nuclei"
