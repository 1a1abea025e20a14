"""Directional demosaicing at packed resolution, using only convolutions and arithmetic."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from torch import Tensor, nn

from edge_pipeline.models.layers.margin import without

__all__ = ["DirectionalDemosaic", "Estimate"]

_R, _G1, _G2, _B = range(4)
# A filter tap: (plane, rows down, columns right, weight), with offsets in 2x2 cells.
_Tap = tuple[int, int, int, float]

# Green at red and at blue pixels, estimated along the row, then along the column: the mean of the
# two green neighbours plus a quarter of the second difference of the pixel's own colour.
_GREEN: tuple[tuple[_Tap, ...], ...] = (
    ((_G1, 0, -1, 0.5), (_G1, 0, 0, 0.5), (_R, 0, 0, 0.5), (_R, 0, -1, -0.25), (_R, 0, 1, -0.25)),
    ((_G2, 0, 0, 0.5), (_G2, 0, 1, 0.5), (_B, 0, 0, 0.5), (_B, 0, -1, -0.25), (_B, 0, 1, -0.25)),
    ((_G2, -1, 0, 0.5), (_G2, 0, 0, 0.5), (_R, 0, 0, 0.5), (_R, -1, 0, -0.25), (_R, 1, 0, -0.25)),
    ((_G1, 0, 0, 0.5), (_G1, 1, 0, 0.5), (_B, 0, 0, 0.5), (_B, -1, 0, -0.25), (_B, 1, 0, -0.25)),
)
# Interpolation of a colour difference, known at red pixels, at R, G1, G2 and B of a cell.
_RED_MINUS_GREEN: tuple[tuple[tuple[int, int, float], ...], ...] = (
    ((0, 0, 1.0),),
    ((0, 0, 0.5), (0, 1, 0.5)),
    ((0, 0, 0.5), (1, 0, 0.5)),
    ((0, 0, 0.25), (0, 1, 0.25), (1, 0, 0.25), (1, 1, 0.25)),
)
_BOX = ((1, 2, 1), (2, 4, 2), (1, 2, 1))  # sixteenths
# Variance of the coded signal below which neither direction is preferred.
_EVEN = 1e-4


def _zeros(*shape: int) -> Tensor:
    """Return zeros on the CPU, even if the network is built on the meta device."""
    return torch.zeros(shape, device="cpu")


def _kernel(taps: tuple[_Tap, ...], n_in: int) -> Tensor:
    weight = _zeros(n_in, 3, 3)
    for plane, down, right, value in taps:
        weight[plane, down + 1, right + 1] += value
    return weight


def _differences() -> Tensor:
    """Return [4, 4, 3, 3]: red and blue minus green, estimated along rows, then along columns."""
    own = [_kernel(((plane, 0, 0, 1.0),), 4) for plane in (_R, _B, _R, _B)]
    green = [_kernel(taps, 4) for taps in _GREEN]
    return torch.stack(own) - torch.stack(green)


def _gradients() -> Tensor:
    """Return [4, 4, 3, 3]: each difference minus that of the previous cell in its direction."""
    weight = _zeros(4, 4, 3, 3)
    for plane, (down, right) in enumerate(((0, 1), (0, 1), (1, 0), (1, 0))):
        weight[plane, plane, 1, 1] = 1.0
        weight[plane, plane, 1 - down, 1 - right] = -1.0
    return weight


def _energies() -> Tensor:
    """Return [2, 4, 3, 3]: window sums of squared gradients along rows and along columns."""
    weight = _zeros(2, 4, 3, 3)
    box = weight.new_tensor(_BOX) / 16
    weight[0, :2], weight[1, 2:] = box, box
    return weight


def _pictures() -> Tensor:
    """Return [12, 6, 3, 3]: from four planes and two colour differences to R, G and B."""
    weight = _zeros(3, 4, 6, 3, 3)
    for place in range(4):
        weight[:, place, place, 1, 1] = 1.0
    for colour in range(3):  # green at red and blue pixels: the pixel minus the difference
        weight[colour, _R, 4, 1, 1] -= 1.0
        weight[colour, _B, 5, 1, 1] -= 1.0
    for place, taps in enumerate(_RED_MINUS_GREEN):
        for down, right, value in taps:
            weight[0, place, 4, down + 1, right + 1] += value
            # Rotated by 180 degrees, the cell has blue in the place of red.
            weight[2, 3 - place, 5, 1 - down, 1 - right] += value
    return weight.reshape(12, 6, 3, 3)


class Estimate(NamedTuple):
    """A demosaiced picture at packed resolution, with its directional decisions.

    Attributes:
        picture: R at the cell's four pixels, then G, then B, [N, 12, H, W].
        disagreement: Green along the row minus green along the column, at R and B, [N, 2, H, W].
        share: Weight of the estimate along the row, 0 to 1, [N, 1, H, W].
    """

    picture: Tensor
    disagreement: Tensor
    share: Tensor


class DirectionalDemosaic(nn.Module):
    """Interpolate green along the direction in which the colour differences vary least.

    Green is estimated along rows and along columns (Hamilton and Adams). Each estimate is weighted
    by the energy of the other direction's colour-difference gradients, summed over a window, so the
    decision is continuous (Menon, Andriani and Calvagno choose one direction). Red and blue follow
    from bilinear interpolation of their differences to green. The module has no parameters.

    Source: J. Hamilton and J. Adams, US patent 5,629,734, 1997; D. Menon, S. Andriani and
    G. Calvagno, Demosaicing with directional filtering and a posteriori decision, IEEE TIP 16(1),
    2007.
    """

    differences: Tensor
    gradients: Tensor
    energies: Tensor
    pictures: Tensor

    def __init__(self) -> None:
        super().__init__()
        for name, value in (
            ("differences", _differences()),
            ("gradients", _gradients()),
            ("energies", _energies()),
            ("pictures", _pictures()),
        ):
            self.register_buffer(name, value, persistent=False)

    def forward(self, z: Tensor, margin: int = 0) -> Estimate:
        """Demosaic a packed capture.

        Args:
            z: Packed RGGB [N, 4, H, W], padded with zeros; a square-root or similar coding leads to
                better pictures than linear values.
            margin: Rows and columns at each edge that the picture lacks; the other maps do not.
        """
        difference = F.conv2d(z, self.differences, padding=1)  # [N, 4, H, W]
        along_row, along_column = difference[:, :2], difference[:, 2:]
        gradient = F.conv2d(difference, self.gradients, padding=1)
        energy = F.conv2d(gradient * gradient, self.energies, padding=1) + _EVEN  # [N, 2, H, W]
        share = energy[:, 1:] / (energy[:, :1] + energy[:, 1:])
        disagreement = along_column - along_row
        chosen = along_column - share * disagreement  # [N, 2, H, W]
        known = without(torch.cat([z, chosen], 1), margin)
        picture = F.conv2d(known, self.pictures, padding=1)
        return Estimate(picture, disagreement, share)
