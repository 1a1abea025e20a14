import pytest
import torch
from PIL import Image

from edge_pipeline.errors import InputError
from edge_pipeline.models.base import build_model
from edge_pipeline.train.loop import train
from edge_pipeline.train.recipe import settings_of
from edge_pipeline.train.task import Share
from edge_pipeline.train.tasks.isp import Batch, LossWeights, developed_crops, loss_of, open_task
from tests.fakes.trainings import CPU, half_losses, isp_recipe, shared_recipe


def opened(recipe, world=1):
    return open_task(recipe, settings_of(recipe), world)


@pytest.fixture(scope="module")
def task():
    part = {"dataset": "procedural", "options": {"count": 4, "size": 80}}
    optimiser = {"batch": 2, "steps": 6}
    settings = {"data": [part], "crop": 32, "loss": {"ms_ssim": 0, "log_mse": 1, "log_coded": 1}}
    return opened(isp_recipe(settings, optimiser=optimiser, seed=3), 2)


def test_a_batch_is_of_one_capture(task):
    batch = task.batch(0, Share())
    assert batch.packed.shape == (2, 4, 32, 32)
    assert batch.target.shape == (2, 3, 64, 64)
    assert batch.camera_to_srgb.shape == (3, 3)
    torch.testing.assert_close(batch.camera_to_srgb.sum(1), torch.ones(3))
    assert batch.push >= 1


def test_the_shares_of_two_processes_are_the_batch_and_their_mean_loss_is_its_loss(task):
    whole = task.batch(1, Share())
    halves = [task.batch(1, Share(rank, 2)) for rank in range(2)]
    for rank, half in enumerate(halves):
        assert torch.equal(half.packed, whole.packed[rank::2])
        assert torch.equal(half.target, whole.target[rank::2])
        assert torch.equal(half.camera_to_srgb, whole.camera_to_srgb)
    model = build_model("hyperconv_isp", {"width": 4, "coarse": 4, "n_basis": 2})
    mean = torch.stack(half_losses(task, model, 1)).mean()
    torch.testing.assert_close(mean, task.loss(model, whole), rtol=1e-5, atol=1e-6)


def test_shared_filters_need_one_process():
    with pytest.raises(InputError, match="2 processes are requested; give --devices 1"):
        opened(shared_recipe(), 2)


def test_shared_filters_are_predicted_from_the_crops_side_by_side(tmp_path):
    model = build_model("hyperconv_isp", {"width": 4, "coarse": 4, "n_basis": 2})
    packed = torch.rand(2, 4, 32, 32)
    side_by_side = torch.cat([packed[:1], packed[1:]], 3)
    got = developed_crops(model, packed, shared=True)
    expected = model.apply_filters(packed, model.predict_filters(side_by_side))
    torch.testing.assert_close(got, expected, atol=1e-6, rtol=1e-5)
    apart = developed_crops(model, packed, shared=False)
    torch.testing.assert_close(apart, model(packed))
    assert not torch.allclose(got, apart)


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


def test_a_picture_smaller_than_a_crop_is_extended(tmp_path):
    Image.new("RGB", (40, 30), (90, 80, 70)).save(tmp_path / "a.png")
    part = {"dataset": "photographs", "options": {"folder": str(tmp_path), "licence": "x"}}
    train(isp_recipe({"data": [part]}), tmp_path / "run", machines=CPU)
