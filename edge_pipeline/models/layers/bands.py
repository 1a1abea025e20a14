"""A picture as a sum of bands, fine to coarse, each of which can be given a gain at every place."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from torch import Tensor, nn

__all__ = ["N_BANDS", "BandGains", "enlarged"]

N_BANDS = 3


def enlarged(x: Tensor, times: float = 2.0) -> Tensor:
    """A map enlarged by bilinear interpolation, [N, C, H, W] to [N, C, times H, times W]."""
    return F.interpolate(x, scale_factor=times, mode="bilinear", align_corners=False)


class BandGains(nn.Module):
    """Change the gain of three bands of a picture at packed resolution.

    The finest band is what a pixel differs by from the mean of its 2 x 2 cell, the next what a cell
    differs by from its surroundings of 4 x 4 pixels, the last what those differ by from
    surroundings of 8 x 8 pixels. What is coarser stays. A network thus removes noise from smooth
    parts with a few numbers, and need not compute the noise of every pixel. It has no parameters.

    Source: the Laplacian pyramid of P. Burt and E. Adelson, IEEE Trans. Communications 31(4), 1983.
    """

    cell_mean: Tensor
    to_pixels: Tensor

    def __init__(self) -> None:
        super().__init__()
        # Three colours of four pixels each; on the CPU even if the network is built without memory.
        pixels = torch.eye(3, device="cpu").repeat_interleave(4, 0)[:, :, None, None]
        self.register_buffer("to_pixels", pixels, persistent=False)
        self.register_buffer("cell_mean", pixels.transpose(0, 1) / 4, persistent=False)

    def forward(self, picture: Tensor, change: Tensor) -> Tensor:
        """Add the bands, each times its change of gain.

        Args:
            picture: [N, 12, H, W], three colours of the four pixels of a cell.
            change: [N, 9, H/2, W/2]: of the finest band, then of the coarser ones, for three
                colours each; 0 keeps a band, -1 removes it.

        Returns:
            [N, 12, H, W].
        """
        cells = F.conv2d(picture, self.cell_mean)  # [N, 3, H, W]
        coarse = F.avg_pool2d(cells, 2)
        coarser = F.avg_pool2d(coarse, 2)
        finest = picture - F.conv2d(cells, self.to_pixels)
        fine = cells - enlarged(coarse)
        middle = (coarse - enlarged(coarser)) * change[:, 6:]  # [N, 3, H/2, W/2]
        local = enlarged(torch.cat([change[:, :6], middle], 1))  # [N, 9, H, W]
        smooth = fine * local[:, 3:6] + local[:, 6:]
        spread = F.conv2d(local[:, :3], self.to_pixels)  # [N, 12, H, W]
        return picture + finest * spread + F.conv2d(smooth, self.to_pixels)
