import torch
import torch.nn.functional as F  # noqa: N812
from hypothesis import given
from hypothesis import strategies as st

from edge_pipeline.models.layers.basis_conv import BasisConv, in_type_of
from edge_pipeline.models.layers.hyperconv import Filters


def layer(n_in=3, n_out=5, f_size=3, n_basis=2, seed=0):
    torch.manual_seed(seed)
    made = BasisConv(n_in, n_out, f_size, n_basis=n_basis)
    with torch.no_grad():
        for bias in (made.bias, made.bias_basis):
            bias += torch.randn_like(bias)
    return made


@given(
    n=st.integers(1, 3),
    n_in=st.integers(1, 4),
    n_out=st.integers(1, 4),
    f_size=st.sampled_from([1, 3, 5]),
    n_basis=st.integers(1, 3),
    seed=st.integers(0, 99),
)
def test_every_sample_is_convolved_with_its_own_mixture(n, n_in, n_out, f_size, n_basis, seed):
    conv = layer(n_in, n_out, f_size, n_basis, seed)
    x, coefficients = torch.randn(n, n_in, 6, 7), torch.randn(n, n_basis)
    got = conv(x, conv.predict(coefficients))
    for i in range(n):
        weight, bias = conv.weight.clone(), conv.bias.clone()
        for k in range(n_basis):
            weight += coefficients[i, k] * conv.weight_basis[k].view(weight.shape)
            bias += coefficients[i, k] * conv.bias_basis[k]
        expected = F.conv2d(x[i : i + 1], weight, bias, padding=f_size // 2)[0]
        torch.testing.assert_close(got[i], expected, atol=1e-4, rtol=1e-4)


def test_one_set_of_filters_serves_all_samples():
    conv = layer()
    x = torch.randn(4, 3, 6, 7)
    one = conv.predict(torch.randn(1, 2))
    each = Filters(*(value.repeat(4, *(1,) * (value.dim() - 1)) for value in one[:2]))
    torch.testing.assert_close(conv(x, one), conv(x, each), atol=1e-5, rtol=1e-5)


def test_scaled_filters_scale_what_comes_out():
    conv = layer()
    x, filters = torch.randn(2, 3, 6, 7), conv.predict(torch.randn(2, 2))
    factor = torch.tensor([[2.0], [0.5]])
    got, plain = conv(x, filters.scaled(factor)), conv(x, filters)
    torch.testing.assert_close(got, plain * factor[:, :, None, None], atol=1e-5, rtol=1e-5)


def test_filters_without_a_bias_add_none():
    conv = layer()
    x, filters = torch.randn(1, 3, 6, 7), conv.predict(torch.randn(1, 2))
    got = conv(x, Filters(filters.weight)) + filters.bias[:, :, None, None]
    torch.testing.assert_close(got, conv(x, filters))


def test_a_bias_in_single_precision_keeps_maps_in_half():
    conv, x = layer(), torch.randn(1, 3, 6, 7)
    filters = conv.predict(torch.randn(1, 2))
    with torch.autocast("cpu", torch.bfloat16):
        assert conv(x, filters).dtype == torch.bfloat16
    assert conv(x, filters).dtype == torch.float32


def test_a_conversion_to_the_same_type_is_none():
    x = torch.zeros(2)
    assert in_type_of(torch.ones(1), x) is x
    assert in_type_of(torch.ones(1, dtype=torch.bfloat16), x).dtype == torch.bfloat16
