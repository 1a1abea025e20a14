import pytest
import torch

from edge_pipeline.models.layers.noise_statistics import NoiseStatistics


def measured(z):
    return NoiseStatistics(z.shape[1])(z)


def white(deviation, *shape):
    return deviation * torch.randn(*shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("deviation", [0.003, 0.05])
def test_the_mean_is_the_deviation_of_white_noise(deviation):
    noise = measured(white(deviation, 1, 2, 258, 258))
    assert noise.mean.shape == noise.least.shape == (1, 2)
    torch.testing.assert_close(noise.mean, torch.full((1, 2), deviation), rtol=0.03, atol=0)
    assert ((0.5 * deviation < noise.least) & (noise.least < noise.mean)).all()


def test_a_plane_is_no_noise():
    ramp = torch.arange(40.0).view(1, 1, 40, 1) + 2 * torch.arange(50.0)
    assert float(measured(ramp / 100).mean) < 2e-4


def test_texture_raises_the_mean_and_not_the_least():
    z = white(0.01, 1, 1, 130, 130)
    flat = measured(z)
    z[..., :64] += white(0.3, 1, 1, 130, 64)
    mixed = measured(z)
    assert mixed.mean > 5 * flat.mean
    assert mixed.least < 1.1 * flat.mean


def test_clipped_blocks_say_nothing_of_the_noise():
    z = white(0.01, 1, 1, 130, 130)
    noise = measured(z).least
    z[..., :61, :] = 1.0  # which ends inside of a block
    torch.testing.assert_close(measured(z).least, noise, rtol=0.3, atol=0)
    assert float(measured(torch.ones(1, 1, 34, 34)).least) == 0


def test_half_precision_measures_the_same():
    z = 0.5 + white(0.02, 1, 1, 130, 130)
    z[..., :61, :] = 1.0
    full, half = measured(z).least, NoiseStatistics(1).half()(z.half()).least
    torch.testing.assert_close(half.float(), full, rtol=0.05, atol=0)


def test_samples_and_channels_are_measured_apart():
    z = white(0.01, 2, 3, 34, 34) * torch.tensor([[1.0, 2, 4], [8, 16, 32]])[..., None, None]
    whole = measured(z)
    for n in range(2):
        for c in range(3):
            alone = measured(z[n : n + 1, c : c + 1])
            torch.testing.assert_close(whole.least[n, c], alone.least[0, 0])
            torch.testing.assert_close(whole.mean[n, c], alone.mean[0, 0])


def test_it_has_memory_where_networks_are_built_without():
    with torch.device("meta"):
        assert NoiseStatistics(4).laplacian.device.type == "cpu"
