import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from edge_pipeline.models.layers.directional import DirectionalDemosaic

BORDER = 4


def demosaic(z):
    return DirectionalDemosaic().to(z.dtype)(z)


def sampled(picture):
    """[N, 3, 2h, 2w] through an RGGB array: [N, 4, h, w]."""
    planes = ((0, 0, 0), (1, 0, 1), (1, 1, 0), (2, 1, 1))
    return torch.stack([picture[:, c, row::2, col::2] for c, row, col in planes], 1)


def inside(x):
    return x[..., BORDER:-BORDER, BORDER:-BORDER]


@given(st.tuples(*[st.floats(0, 1)] * 3))
def test_a_flat_colour_comes_out_exactly_at_all_four_phases(colour):
    flat = torch.tensor(colour, dtype=torch.float64).view(1, 3, 1, 1).expand(1, 3, 32, 32)
    made = demosaic(sampled(flat))
    expected = torch.tensor(colour, dtype=torch.float64).repeat_interleave(4).view(1, 12, 1, 1)
    assert float((inside(made.picture) - expected).abs().max()) < 1e-15
    assert float(inside(made.disagreement).abs().max()) < 1e-15


def test_what_the_sensor_saw_is_kept():
    z = torch.rand(1, 4, 12, 14)
    picture = demosaic(z).picture.view(1, 3, 4, 12, 14)
    for plane, colour in enumerate((0, 1, 1, 2)):
        torch.testing.assert_close(picture[:, colour, plane], z[:, plane])


@pytest.mark.parametrize("along", ["row", "column"])
def test_grey_stripes_are_taken_along_their_direction(along):
    """Stripes of random brightness are aliased across, and exact along."""
    stripes = torch.rand(48, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    shape = (1, 1, 48, 1) if along == "row" else (1, 1, 1, 48)
    picture = stripes.view(shape).expand(1, 3, 48, 48)
    made = demosaic(sampled(picture))
    share = inside(made.share) if along == "row" else 1 - inside(made.share)
    assert share.min() > 0.99
    full = torch.nn.functional.pixel_shuffle(made.picture, 2)
    error = (full - picture)[..., 2 * BORDER : -2 * BORDER, 2 * BORDER : -2 * BORDER].abs().max()
    assert float(error) < 0.005
    across = inside(made.disagreement).abs().max()  # of an estimate that is exact, from the other
    assert float(across) > 0.2


def test_it_has_no_parameters_and_memory_where_networks_are_built_without():
    with torch.device("meta"):
        made = DirectionalDemosaic()
    assert not list(made.parameters())
    assert not made.state_dict()
    assert {buffer.device.type for buffer in made.buffers()} == {"cpu"}
