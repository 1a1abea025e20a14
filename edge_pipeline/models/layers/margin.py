"""Leave out the edges of maps."""

from __future__ import annotations

from torch import Tensor

__all__ = ["without"]


def without(maps: Tensor, margin: int) -> Tensor:
    """Return maps [..., H, W] without `margin` rows and columns at each edge.

    Args:
        maps: Maps, higher and wider than two margins.
        margin: Number of rows and columns, 0 or more.
    """
    return maps[..., margin:-margin, margin:-margin] if margin else maps
