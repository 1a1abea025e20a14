import numpy as np
import pytest
from colour_demosaicing import demosaicing_CFA_Bayer_bilinear
from hypothesis import given
from hypothesis import strategies as st

from edge_pipeline.isp.grain import keep_grain
from edge_pipeline.raw.cfa import pack, unpack


def random(height, width, seed):
    rng = np.random.default_rng(seed)
    return (
        rng.random((3, 2 * height, 2 * width)).astype(np.float32),
        rng.random((4, height, width)).astype(np.float32),
    )


@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 99))
def test_none_is_the_network_and_all_is_what_the_sensor_saw(height, width, seed):
    rgb, packed = random(height, width, seed)
    assert keep_grain(rgb, packed, 0) is rgb
    all_of_it = keep_grain(rgb, packed, 1)
    red, green_1, green_2, blue = pack(unpack(packed))
    np.testing.assert_allclose(all_of_it[0, 0::2, 0::2], red, atol=1e-6)
    np.testing.assert_allclose(all_of_it[1, 0::2, 1::2], green_1, atol=1e-6)
    np.testing.assert_allclose(all_of_it[1, 1::2, 0::2], green_2, atol=1e-6)
    np.testing.assert_allclose(all_of_it[2, 1::2, 1::2], blue, atol=1e-6)


def test_the_noise_is_demosaiced_bilinearly():
    _, packed = random(12, 10, 1)
    black = np.zeros((3, 24, 20), np.float32)
    expected = demosaicing_CFA_Bayer_bilinear(unpack(packed), "RGGB").transpose(2, 0, 1)
    got = keep_grain(black, packed, 0.5)
    np.testing.assert_allclose(got[:, 2:-2, 2:-2], expected[:, 2:-2, 2:-2] / 2, atol=1e-6)
    assert got.dtype == np.float32


@pytest.mark.parametrize("share", [0.2, 1.0])
def test_a_capture_that_the_network_explains_stays(share):
    rgb, _ = random(4, 5, 2)
    mosaic = rgb[1].copy()
    mosaic[0::2, 0::2], mosaic[1::2, 1::2] = rgb[0, 0::2, 0::2], rgb[2, 1::2, 1::2]
    np.testing.assert_allclose(keep_grain(rgb, pack(mosaic), share), rgb, atol=1e-7)


def test_a_part_has_the_grain_of_the_whole():
    """Beyond two pixels from a cut, so a tile's halo covers it."""
    rgb, packed = random(16, 16, 3)
    whole = keep_grain(rgb, packed, 0.3)
    part = keep_grain(rgb[:, 8:24, 8:24], packed[:, 4:12, 4:12], 0.3)
    np.testing.assert_array_equal(part[:, 2:-2, 2:-2], whole[:, 10:22, 10:22])
