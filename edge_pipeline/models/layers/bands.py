"""Split a picture into bands, fine to coarse, and change the gain of each band locally."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from torch import Tensor, nn

__all__ = ["N_BANDS", "BandGains", "enlarged"]

N_BANDS = 3


def enlarged(x: Tensor, times: float = 2.0) -> Tensor:
    """Enlarge a map by bilinear interpolation, from [N, C, H, W] to [N, C, times H, times W]."""
    return F.interpolate(x, scale_factor=times, mode="bilinear", align_corners=False)


class BandGains(nn.Module):
    """Change the gain of three bands of a picture at packed resolution.

    The finest band is the difference between a pixel and the mean of its 2 x 2 cell, the second
    the difference between a cell and its surroundings of 4 x 4 pixels, the third the difference
    between those and surroundings of 8 x 8 pixels. Coarser content does not change. A network can
    thus remove noise from smooth areas with a few gains, without computing the noise of every
    pixel. The module has no parameters.

    Source: the Laplacian pyramid of P. Burt and E. Adelson, IEEE Trans. Communications 31(4), 1983.
    """

    cell_mean: Tensor
    to_pixels: Tensor

    def __init__(self) -> None:
        super().__init__()
        # Three colours of four pixels each; on the CPU even if the network is built on meta.
        pixels = torch.eye(3, device="cpu").repeat_interleave(4, 0)[:, :, None, None]
        self.register_buffer("to_pixels", pixels, persistent=False)
        self.register_buffer("cell_mean", pixels.transpose(0, 1) / 4, persistent=False)

    def forward(self, picture: Tensor, change: Tensor) -> Tensor:
        """Add each band times its change of gain to the picture.

        Args:
            picture: Three colours of the four pixels of a cell, [N, 12, H, W].
            change: Changes of gain [N, 9, H/2, W/2], three colours of the finest band first, then
                those of the two coarser bands; 0 keeps a band, -1 removes it.

        Returns:
            The changed picture [N, 12, H, W].
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
