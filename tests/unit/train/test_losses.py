import numpy as np
import pytest
import torch
from torchmetrics.functional.image import multiscale_structural_similarity_index_measure

from edge_pipeline.raw.colour import to_srgb
from edge_pipeline.train.losses import encode, log_mse, ms_ssim
from edge_pipeline.train.recipe import LossWeights


def pair(noise):
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(2, 3, 48, 56, generator=generator)
    x = torch.nn.functional.interpolate(x, scale_factor=4, mode="bicubic").clamp(0, 1)
    return x, (x + noise * torch.randn(x.shape, generator=generator)).clamp(0, 1)


@pytest.mark.parametrize("noise", [0.05, 0.2])
def test_ms_ssim_agrees_with_torchmetrics(noise):
    x, y = pair(noise)
    wanted = multiscale_structural_similarity_index_measure(x, y, data_range=1.0)
    assert abs(float(ms_ssim(x, y) - wanted)) < 2e-4
    assert abs(float(ms_ssim(x, y) - ms_ssim(x, x))) > 1e-3  # the tolerance can be missed


def test_ms_ssim_of_equal_pictures_is_one_and_can_be_differentiated():
    x, y = pair(0.1)
    assert float(ms_ssim(x, x)) == pytest.approx(1, abs=1e-5)
    y.requires_grad_()
    ms_ssim(x, y).backward()
    assert torch.isfinite(y.grad).all()


def test_log_mse_weighs_samples_by_ratio():
    x = torch.zeros(2, 1, 4, 4)
    y = torch.stack([torch.full((1, 4, 4), 0.1), torch.full((1, 4, 4), 0.01)])
    assert float(log_mse(x, y)) == pytest.approx(np.log(0.01 + 1e-6) / 2 + np.log(1.01e-4) / 2)


def test_encoding_agrees_with_the_colour_stage_and_goes_on_outside():
    camera = torch.rand(1, 3, 8, 8)
    matrix = torch.tensor([[[1.5, -0.3, -0.2], [-0.2, 1.4, -0.2], [0.0, -0.4, 1.4]]])
    got = encode(camera, matrix)[0].clamp(0, 1).numpy()
    np.testing.assert_allclose(got, to_srgb(camera[0].numpy(), matrix[0].numpy()), atol=1e-5)
    outside = torch.tensor([-0.2, 1.3]).view(2, 1, 1, 1).expand(2, 3, 1, 1).clone().requires_grad_()
    encode(outside, torch.eye(3).expand(2, 3, 3)).sum().backward()
    assert (outside.grad > 0).all()


def test_the_papers_loss_is_the_default():
    assert LossWeights() == LossWeights(mse=1, ms_ssim=1, log_mse=0)
