import torch
from hypothesis import given
from hypothesis import strategies as st

from edge_pipeline.models.layers.coding import compress, expand


@given(st.floats(0, 4))
def test_expanding_undoes_compressing_of_light(value):
    x = torch.tensor(value, dtype=torch.float64)
    torch.testing.assert_close(expand(compress(x)), x, atol=1e-12, rtol=1e-12)


def test_the_curve_goes_on_along_its_tangent_below_black():
    x = torch.tensor([-0.2, -0.1, -1e-6, 1e-6], dtype=torch.float64)
    z = compress(x)
    torch.testing.assert_close(z[2] - z[0], 8 * (x[2] - x[0]))
    torch.testing.assert_close(z[3] - z[2], 8 * (x[3] - x[2]), rtol=1e-3, atol=0)


def test_noise_about_black_keeps_its_mean_in_the_coding():
    noise = 1e-4 * torch.randn(100_000, generator=torch.Generator().manual_seed(0))
    shift = compress(noise).mean() - compress(torch.zeros(()))
    assert abs(float(shift)) < 1e-5
    half = torch.sqrt(torch.relu(noise) + 1 / 256).mean() - 1 / 16  # the planted fault: a clip
    assert abs(float(half)) > 1e-4


def test_photon_noise_has_nearly_one_deviation_in_lights_and_shadows():
    generator = torch.Generator().manual_seed(0)
    deviations = []
    for level in (0.05, 0.2, 0.8):
        light = level + torch.randn(100_000, generator=generator) * (4e-4 * level) ** 0.5
        deviations.append(float(compress(light).std()))
    assert max(deviations) < 1.05 * min(deviations)


def test_expanded_values_are_bounded_below():
    assert float(expand(torch.tensor(-3.0))) == -1 / 256
