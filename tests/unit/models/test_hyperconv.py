import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from hypothesis import given
from hypothesis import strategies as st

from edge_pipeline.models.layers.hyperconv import (
    FilterPredictor,
    Filters,
    HyperConv,
    HyperConvEmbed,
    convolve_per_sample,
)


@given(
    n=st.integers(1, 3),
    n_in=st.integers(1, 5),
    n_out=st.integers(1, 5),
    f_size=st.sampled_from([1, 3, 5]),
    height=st.integers(4, 9),
    width=st.integers(4, 9),
    seed=st.integers(0, 99),
)
def test_grouped_convolution_equals_one_convolution_a_sample(
    n, n_in, n_out, f_size, height, width, seed
):
    torch.manual_seed(seed)
    x = torch.randn(n, n_in, height, width)
    filters = Filters(
        torch.randn(n, n_out, n_in, f_size, f_size), torch.randn(n, n_out), torch.rand(n, n_out)
    )
    got = convolve_per_sample(x, filters)
    pad = f_size // 2
    padded = torch.nn.ReflectionPad2d(pad)(x)
    for i in range(n):
        expected = F.conv2d(padded[i : i + 1], filters.weight[i])[0]
        expected = (expected + filters.bias[i][:, None, None]) * filters.gain[i][:, None, None]
        torch.testing.assert_close(got[i], expected, atol=1e-4, rtol=1e-4)


def test_predicted_part_of_a_kernel_has_l1_norm_one_half():
    torch.manual_seed(0)
    layer = HyperConv(3, 7, 5, n_hid=16)
    weight = layer.predict(torch.randn(2, 7, 4, 4)).weight
    norms = (weight - layer.const_f).abs().sum((3, 4))
    torch.testing.assert_close(norms, torch.full((2, 5, 3), 0.5), atol=1e-5, rtol=0)


def test_filters_come_from_the_maximum_over_the_picture():
    torch.manual_seed(0)
    layer = HyperConv(2, 4, 3, bias=True, n_hid=8)
    maps = torch.randn(1, 4, 5, 6)
    shuffled = maps.flatten(2)[:, :, torch.randperm(30)].reshape(1, 4, 6, 5)
    torch.testing.assert_close(layer.predict(maps).weight, layer.predict(shuffled).weight)
    lower = maps.clone()
    lower[0, 0, maps[0, 0].argmax() // 6, maps[0, 0].argmax() % 6] -= 10
    assert not torch.allclose(layer.predict(maps).weight, layer.predict(lower).weight)


def test_bias_and_gain_are_clamped():
    layer = HyperConv(2, 4, 3, bias=True, gain=True, n_hid=8)
    filters = layer.predict(1e4 * torch.randn(64, 4, 1, 1))
    assert filters.bias.abs().max() <= 0.1
    assert filters.gain.min() >= 0.1 - 1e-6
    assert filters.gain.max() <= 1.1 + 1e-6
    assert filters.bias.unique().numel() > 1


def test_low_rank_filters_are_the_mean_of_outer_products():
    torch.manual_seed(0)
    layer = FilterPredictor(3, 4, 5, n_hid=8, decompose=2)
    features = torch.randn(2, 4)
    f1 = layer.outf1(features).view(2, 5, 1, 3, 3, 2)
    f2 = layer.outf2(features).view(2, 1, 3, 3, 3, 2)
    f = (f1[..., 0] * f2[..., 0] + f1[..., 1] * f2[..., 1]) / 2
    expected = f / (2 * f.abs().sum((3, 4), keepdim=True)) + layer.const_f
    torch.testing.assert_close(layer.predict_from(features).weight, expected)


@pytest.mark.parametrize("bias", [True, False])
def test_drop_in_layer_keeps_the_size_and_treats_samples_apart(bias):
    torch.manual_seed(0)
    layer = HyperConvEmbed(3, 6, bias=bias, gain=bias)
    x = torch.randn(2, 3, 17, 20)
    both = layer(x)
    assert both.shape == (2, 6, 17, 20)
    torch.testing.assert_close(both[1:], layer(x[1:]), atol=1e-5, rtol=1e-5)


def test_filters_keep_their_names():
    filters = Filters(torch.ones(1, 1, 1, 1, 1), torch.zeros(1, 1))
    named = filters.named("layer")
    assert list(named) == ["layer.weight", "layer.bias"]
    assert Filters.from_named("layer", named) == filters
