import numpy as np
import pytest
import torch
from torchmetrics.functional.image import multiscale_structural_similarity_index_measure

from edge_pipeline.raw.colour import to_srgb
from edge_pipeline.train.losses import coded_error, encode, log_energy, log_mse, ms_ssim
from edge_pipeline.train.tasks.isp import LossWeights


def pair(noise):
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(2, 3, 48, 56, generator=generator)
    x = torch.nn.functional.interpolate(x, scale_factor=4, mode="bicubic").clamp(0, 1)
    return x, (x + noise * torch.randn(x.shape, generator=generator)).clamp(0, 1)


@pytest.mark.parametrize("noise", [0.05, 0.2])
def test_ms_ssim_agrees_with_torchmetrics(noise):
    x, y = pair(noise)
    expected = multiscale_structural_similarity_index_measure(x, y, data_range=1.0)
    assert abs(float(ms_ssim(x, y) - expected)) < 2e-4
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
    matrix = torch.tensor([[1.5, -0.3, -0.2], [-0.2, 1.4, -0.2], [0.0, -0.4, 1.4]])
    got = encode(camera, matrix)[0].clamp(0, 1).numpy()
    np.testing.assert_allclose(got, to_srgb(camera[0].numpy(), matrix.numpy()), atol=1e-5)
    outside = torch.tensor([-0.2, 1.3]).view(2, 1, 1, 1).expand(2, 3, 1, 1).clone().requires_grad_()
    encode(outside, torch.eye(3)).sum().backward()
    assert (outside.grad > 0).all()


def test_the_papers_loss_is_the_default():
    assert LossWeights() == LossWeights(mse=1, ms_ssim=1, log_mse=0)


def alternating(size=32):
    """A two-pixel pattern along rows and columns, of energy 1."""
    sign = 1.0 - 2.0 * (torch.arange(size) % 2)
    return (sign[:, None] * sign).expand(1, 3, size, size).clone()


def test_log_energy_is_the_logarithm_of_the_mean_square():
    error = torch.stack([torch.full((3, 16, 16), 0.1), torch.full((3, 16, 16), 0.01)])
    expected = (np.log(0.01 + 1e-5) + np.log(1e-4 + 1e-5)) / 2
    got = log_energy(error, alternation=0, phase_mean=0)
    assert float(got) == pytest.approx(expected)


def test_a_zipper_weighs_more_than_a_smooth_error_of_the_same_energy():
    smooth = torch.ones(1, 3, 32, 32)
    weights = {"alternation": 0.5, "phase_mean": 0.0}
    assert log_energy(alternating(), **weights) > log_energy(smooth, **weights) + 0.5
    # Along each axis second differences of a pattern of height 1 are 4, with squares of 16.
    expected = np.log(1 + 0.5 / 16 * (16 + 16) + 1e-5)
    assert float(log_energy(alternating(), **weights)) == pytest.approx(expected)


def test_a_grid_in_flat_areas_weighs_more_than_noise_of_the_same_energy():
    noise = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    noise /= noise.square().mean().sqrt()
    grid = alternating(64)
    weights = {"alternation": 0.0, "phase_mean": 1.0}
    assert float(log_energy(grid, **weights)) == pytest.approx(np.log(2 + 1e-5))
    assert float(log_energy(noise, **weights)) == pytest.approx(np.log(1 + 1 / 64), abs=0.01)


def test_the_coded_error_is_none_for_equal_pictures_and_smooth_about_black():
    black = torch.zeros(1, 3, 4, 4)
    matrix = torch.tensor([[1.5, -0.3, -0.2], [-0.2, 1.4, -0.2], [0.0, -0.4, 1.4]])
    assert float(coded_error(black, black, matrix).abs().max()) == 0
    steps = torch.linspace(-0.01, 0.01, 41).view(41, 1, 1, 1).expand(41, 3, 1, 1)
    coded = coded_error(steps, torch.zeros_like(steps), torch.eye(3))[:, 0, 0, 0]
    slopes = coded.diff() / 0.0005
    assert ((slopes > 4) & (slopes < 8.01)).all()
    assert (slopes.diff().abs() < 0.5).all()
