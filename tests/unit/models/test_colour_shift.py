"""The measured shift of red and blue, against captures that were shifted."""

import pytest

pytest.importorskip("torch", reason="networks need torch")

import numpy as np
import torch
from scipy import ndimage

from edge_pipeline.models.layers.colour_shift import ColourShift


def packed(shift, *, noise=0.0, seed=0):
    """A grey texture [1, 4, 64, 80] whose red is shifted by (rows, columns) mosaic pixels."""
    rng = np.random.default_rng(seed)
    grey = ndimage.gaussian_filter(rng.standard_normal((128, 160)), 2.0)
    grey = 0.5 + 0.15 * grey / grey.std()
    red = ndimage.shift(grey, shift, order=3, mode="nearest")
    planes = (red[::2, ::2], grey[::2, 1::2], grey[1::2, ::2], grey[1::2, 1::2])
    z = np.stack(planes)[None] + noise * rng.standard_normal((1, 4, 64, 80))
    return torch.from_numpy(z.astype(np.float32))


def test_it_grows_with_the_shift_of_red_and_leaves_blue():
    measured = [ColourShift()(packed((0.0, by)))[0] for by in (0.0, 0.5, 1.0, 1.5)]
    red, blue = (torch.stack([one[i] for one in measured]) for i in range(2))
    assert (red.diff() > 0.08).all()
    assert blue.max() < 0.1
    assert red[0] < 0.05


@pytest.mark.parametrize("shift", [(1.0, 0.0), (0.0, -1.0), (-0.7, 0.7)])
def test_the_direction_does_not_count(shift):
    red = float(ColourShift()(packed(shift))[0, 0])
    along = float(ColourShift()(packed((0.0, 1.0)))[0, 0])
    assert red == pytest.approx(along, rel=0.45)


def test_noise_and_brightness_hardly_count():
    layer = ColourShift()
    clean, noisy = (float(layer(packed((0.0, 1.0), noise=n))[0, 0]) for n in (0.0, 0.01))
    assert noisy == pytest.approx(clean, rel=0.2)
    dark = float(layer(0.3 * packed((0.0, 1.0)))[0, 0])
    assert dark == pytest.approx(clean, rel=0.05)


def test_flat_maps_have_none():
    assert float(ColourShift()(torch.full((1, 4, 20, 24), 0.4)).abs().max()) < 1e-6


def test_an_edge_between_two_colours_inside_a_block_hardly_counts():
    edge = 1 / (1 + np.exp(-(np.arange(72) - 20) / 2.0))
    red, green, blue = (np.tile(0.05 + by * edge, (72, 1)) for by in (0.2, 0.6, 0.9))
    planes = (red[::2, ::2], green[::2, 1::2], green[1::2, ::2], blue[1::2, 1::2])
    z = torch.from_numpy(np.stack(planes)[None].astype(np.float32))
    assert float(ColourShift()(z).max()) < 0.05
