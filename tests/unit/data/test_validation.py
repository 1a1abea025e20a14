import numpy as np
import pytest
import torch

from edge_pipeline.data.pictures import Pictures
from edge_pipeline.data.validation import psnr_by_level, psnr_db, validation_sample
from edge_pipeline.raw.noise import NOISE_LEVELS


def nearest(packed):
    """Each cell's own red, green and blue, for all four of its pixels."""
    red, green_1, green_2, blue = packed[0]
    cells = torch.stack([red, (green_1 + green_2) / 2, blue])
    return cells.repeat_interleave(2, 1).repeat_interleave(2, 2)[None]


def test_a_tenth_everywhere_is_twenty_db():
    black = np.zeros((3, 4, 5), np.float32)
    assert psnr_db(black + np.float32(0.1), black) == pytest.approx(20, abs=1e-5)
    assert psnr_db(black, black) == 100


def test_the_same_picture_is_captured_with_the_same_noise():
    picture = np.full((70, 40, 3), 128, np.uint8)
    first, again = (validation_sample(picture, "high", 3) for _ in range(2))
    assert first.packed.shape == (4, 32, 16)  # 70 x 40 cut to 64 x 32
    np.testing.assert_array_equal(first.packed, again.packed)
    assert (first.packed != validation_sample(picture, "high", 4).packed).mean() > 0.9


def test_pictures_are_developed_with_a_margin_and_judged_without_it():
    """A network that spoils its border up to 32 packed pixels loses nothing by it."""
    picture = Pictures("flat", "CC0", [np.full((64, 64, 3), 99, np.uint8)], ["a"])
    sizes = []

    def spoiling(packed, border=64):
        sizes.append(packed.shape)
        made = nearest(packed)
        made[..., :border, :] = 0
        made[..., -border:] = 0
        return made

    assert psnr_by_level(spoiling, picture, ("none",))["none"] > 60
    assert sizes == [(1, 4, 32 + 64, 32 + 64)]
    assert psnr_by_level(lambda x: spoiling(x, 65), picture, ("none",))["none"] < 30


def test_psnr_falls_as_noise_rises():
    """On flat pictures the nearest neighbour is exact, so all that is lost is lost to noise."""
    flat = [np.full((64, 64, 3), colour, np.uint8) for colour in ((90, 120, 60), (30, 40, 200))]
    pictures = Pictures("flat", "CC0", flat, ["a", "b"])
    psnr = psnr_by_level(nearest, pictures, tuple(NOISE_LEVELS))
    assert list(psnr) == ["none", "low", "medium", "high"]
    assert psnr["none"] > 60
    assert psnr["none"] > psnr["low"] > psnr["medium"] > psnr["high"]
    # On a flat grey x, noise of variance v on x costs v times the squared slope of the sRGB curve.
    grey = Pictures("grey", "CC0", [np.full((256, 256, 3), 188, np.uint8)], ["g"])
    x = ((188 / 255 + 0.055) / 1.055) ** 2.4
    slope = 1.055 / 2.4 * x ** (1 / 2.4 - 1)
    variance = NOISE_LEVELS["low"].variance(np.array(x)) * slope**2
    expected = -10 * np.log10(variance * (1 + 0.5 + 1) / 3)  # green is the mean of two samples
    assert psnr_by_level(nearest, grey, ("low",))["low"] == pytest.approx(expected, abs=0.1)
