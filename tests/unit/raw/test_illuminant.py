"""Light sources: against the package colour-science, and there and back."""

import colour
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_pipeline.errors import InputError
from edge_pipeline.raw.illuminant import Light, light_of_xyz

kelvins = st.floats(1500, 25000)


def uv_of(xyz):
    x, y, z = xyz
    return np.array([4 * x, 6 * y]) / (x + 15 * y + 3 * z)


@pytest.mark.parametrize("kelvin", [1500, 2000, 2856, 3500, 4000])
def test_cool_light_is_a_black_body(kelvin):
    expected = colour.temperature.CCT_to_uv_Planck1900(kelvin)
    assert uv_of(Light(kelvin).xyz()) == pytest.approx(expected, abs=1.2e-4)


@pytest.mark.parametrize("kelvin", [5000, 5500, 6504, 7000, 7001, 10000, 25000])
def test_hot_light_is_daylight(kelvin):
    x, y = colour.temperature.CCT_to_xy_CIE_D(kelvin)
    xyz = Light(kelvin).xyz()
    assert xyz[:2] / xyz.sum() == pytest.approx([x, y], abs=1e-12)


def test_6504_kelvin_is_d65():
    xyz = Light(6504).xyz()
    assert xyz / xyz.sum() == pytest.approx([0.31272, 0.32903, 0.35825], abs=1.5e-4)


@given(kelvin=kelvins, tint=st.floats(-150, 150), scale=st.floats(0.01, 100))
def test_there_and_back(kelvin, tint, scale):
    found = light_of_xyz(scale * Light(kelvin, tint).xyz())
    assert found is not None
    assert found.kelvin == pytest.approx(kelvin, rel=1e-4)
    assert found.tint == pytest.approx(tint, abs=0.02)


@given(kelvin=kelvins, tint=st.floats(1, 150))
def test_tint_is_the_distance_to_the_line_times_3000_and_positive_towards_green(kelvin, tint):
    middle, green = uv_of(Light(kelvin).xyz()), uv_of(Light(kelvin, tint).xyz())
    assert np.linalg.norm(green - middle) * 3000 == pytest.approx(tint, rel=1e-9)
    assert green[1] > middle[1]


@given(mired=st.floats(41, 660))
def test_the_line_has_no_gap(mired):
    near, far = Light(1e6 / mired), Light(1e6 / (mired + 1e-3))
    assert np.abs(near.xyz() - far.xyz()).max() < 1e-4


@pytest.mark.parametrize("xyz", [(0, 1, 0), (1, 0.1, 0.1), (0.1, 0.1, 1), (0, 0, 0)])
def test_strong_colours_are_no_light(xyz):
    assert light_of_xyz(np.array(xyz, float)) is None


@pytest.mark.parametrize(
    ("kelvin", "tint", "said"),
    [
        (1499, 0, "1499 K; give 1500 to 25000"),
        (25001, 0, "25001 K"),
        (float("nan"), 0, "nan K"),
        (5000, 151, "tint is 151; give -150 to 150"),
        (5000, float("nan"), "tint is nan"),
    ],
)
def test_light_outside_the_range_is_refused(kelvin, tint, said):
    with pytest.raises(InputError, match=said):
        Light(kelvin, tint)
