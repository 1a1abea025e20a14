"""Directional demosaicing once more, pixel by pixel, at the mosaic's resolution."""

import numpy as np
import pytest
import torch

from edge_pipeline.models.layers.directional import DirectionalDemosaic
from edge_pipeline.raw.cfa import pack

EVEN = 1e-4
TOLERANCE = 1e-9


class Plane:
    """Values at some pixels of a mosaic; there are zeros beyond its border."""

    def __init__(self, values):
        self.values = values

    def __call__(self, y, x):
        height, width = self.values.shape
        return self.values[y, x] if 0 <= y < height and 0 <= x < width else 0.0


def at_red_and_blue(shape):
    height, width = shape
    return [(y, x) for y in range(height) for x in range(width) if y % 2 == x % 2]


def colour_differences(mosaic, down, right):
    """Red or blue less green, which is interpolated in the direction (down, right)."""
    m, made = Plane(mosaic), np.zeros(mosaic.shape)
    for y, x in at_red_and_blue(mosaic.shape):
        neighbours = (m(y - down, x - right) + m(y + down, x + right)) / 2
        own = (2 * m(y, x) - m(y - 2 * down, x - 2 * right) - m(y + 2 * down, x + 2 * right)) / 4
        made[y, x] = m(y, x) - (neighbours + own)
    return made


def energy(differences, down, right):
    """By cell: squared gradients of both colours' differences, smoothed over 3 x 3 cells."""
    d, squared = Plane(differences), np.zeros(differences.shape)
    for y, x in at_red_and_blue(differences.shape):
        squared[y, x] = (d(y, x) - d(y - 2 * down, x - 2 * right)) ** 2
    cells = squared[::2, ::2] + squared[1::2, 1::2]
    padded = np.pad(cells, 1)
    made = np.zeros(cells.shape)
    for (i, j), weight in np.ndenumerate(np.outer([1, 2, 1], [1, 2, 1]) / 16):
        made += weight * padded[i : i + cells.shape[0], j : j + cells.shape[1]]
    return made


def bilinear(known, row, column):
    """Values known at one pixel of each cell, there and between, by the nearest two or four."""
    k, made = Plane(known), np.zeros(known.shape)
    for y, x in np.ndindex(known.shape):
        rows = (y,) if y % 2 == row else (y - 1, y + 1)
        columns = (x,) if x % 2 == column else (x - 1, x + 1)
        made[y, x] = np.mean([k(a, b) for a in rows for b in columns])
    return made


def restated(mosaic):
    along_row, along_column = colour_differences(mosaic, 0, 1), colour_differences(mosaic, 1, 0)
    across, down = energy(along_row, 0, 1) + EVEN, energy(along_column, 1, 0) + EVEN
    share = np.kron(down / (across + down), np.ones((2, 2)))
    chosen = share * along_row + (1 - share) * along_column
    green = mosaic - chosen  # at green pixels there is no difference
    red_known, blue_known = np.zeros(mosaic.shape), np.zeros(mosaic.shape)
    red_known[::2, ::2], blue_known[1::2, 1::2] = chosen[::2, ::2], chosen[1::2, 1::2]
    red, blue = green + bilinear(red_known, 0, 0), green + bilinear(blue_known, 1, 1)
    return np.stack([red, green, blue])


def by_layer(mosaic, layer=None):
    layer = (layer or DirectionalDemosaic()).double()
    with torch.no_grad():
        made = layer(torch.from_numpy(pack(mosaic))[None]).picture
    return torch.nn.functional.pixel_shuffle(made, 2)[0].numpy()


@pytest.mark.parametrize(("height", "width"), [(16, 20), (24, 12)])
def test_the_layer_agrees_with_its_restatement_up_to_the_border(height, width):
    mosaic = np.random.default_rng(height).random((height, width))
    assert np.abs(by_layer(mosaic) - restated(mosaic)).max() < TOLERANCE


@pytest.mark.parametrize("fault", ["differences", "gradients", "energies", "pictures"])
def test_the_tolerance_catches_a_tap_in_the_wrong_place(fault):
    mosaic = np.random.default_rng(0).random((16, 20))
    layer = DirectionalDemosaic()
    setattr(layer, fault, getattr(layer, fault).roll(1, dims=3))
    assert np.abs(by_layer(mosaic, layer) - restated(mosaic)).max() > 1e6 * TOLERANCE
