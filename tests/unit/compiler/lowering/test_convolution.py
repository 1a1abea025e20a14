import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_pipeline.compiler.lowering import convolution
from edge_pipeline.compiler.lowering.convolution import (
    convolve,
    is_narrow,
    matmul_first,
    stacked_columns,
)
from edge_pipeline.compiler.lowering.padding import Padding

FORMS = [matmul_first, stacked_columns]
TOLERANCE = 2e-6


def plain(x, weight, padding):
    mode = {"reflect": "reflect", "zeros": "constant"}[padding.mode]
    amounts = (padding.columns, padding.columns, padding.rows, padding.rows)
    return F.conv2d(F.pad(x, amounts, mode=mode).double(), weight.double())


def error(x, weight, padding, form):
    expected = plain(x, weight, padding)
    found = convolve(x, weight, padding, form)
    assert found.shape == expected.shape
    return float((found - expected).abs().max() / expected.abs().max().clamp(min=1))


@st.composite
def layers(draw):
    n_in, n_out = draw(st.integers(1, 9)), draw(st.integers(1, 9))
    rows, columns = draw(st.sampled_from([1, 3, 5])), draw(st.sampled_from([1, 3, 5]))
    height, width = draw(st.integers(5, 23)), draw(st.integers(5, 23))
    mode = draw(st.sampled_from(["reflect", "zeros"]))
    same = draw(st.booleans())
    padding = Padding(rows // 2 if same else 0, columns // 2 if same else 0, mode)
    rng = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    x = torch.randn(1, n_in, height, width, generator=rng)
    return x, torch.randn(n_out, n_in, rows, columns, generator=rng), padding


@pytest.mark.parametrize("form", [None, *FORMS])
@given(layers())
def test_every_form_is_the_convolution(form, layer):
    assert error(*layer, form) < TOLERANCE


@pytest.mark.parametrize("form", FORMS)
@settings(max_examples=30)
@given(layers())
def test_strips_meet_without_a_seam(form, layer):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(convolution, "_STRIP_BYTES", 1)
        patch.setattr(convolution, "_FEWEST_ROWS", 2)
        assert error(*layer, form) < TOLERANCE


@pytest.mark.parametrize("form", FORMS)
def test_planted_faults_are_far_outside_the_tolerance(form):
    rng = torch.Generator().manual_seed(0)
    x, padding = torch.randn(1, 4, 16, 16, generator=rng), Padding(1, 1, "reflect")
    weight = torch.randn(5, 4, 3, 3, generator=rng)
    expected = plain(x, weight, padding)
    faults = {
        "rows and columns of the kernel swapped": convolve(x, weight.mT, padding, form),
        "kernel turned round": convolve(x, weight.flip(2, 3), padding, form),
        "zeros in the place of reflection": convolve(x, weight, Padding(1, 1, "zeros"), form),
        "a tap lost": convolve(x, weight.index_fill(3, torch.tensor(2), 0), padding, form),
    }
    for name, found in faults.items():
        assert float((found - expected).abs().max()) > 1000 * TOLERANCE, name


def test_narrow_is_a_third_or_less():
    assert is_narrow(3, 9)
    assert not is_narrow(3, 8)


def test_strips_keep_the_widest_intermediate_in_the_cache():
    seen = []

    def spy(x, weight, padding, shape, top, height):
        seen.append((shape.n_in * 3) * (height + 2) * shape.width * 4)
        return stacked_columns(x, weight, padding, shape, top, height)

    convolve(torch.zeros(1, 16, 256, 256), torch.zeros(16, 16, 3, 3), Padding(1, 1, "zeros"), spy)
    assert len(seen) > 1
    assert max(seen) <= convolution._STRIP_BYTES
