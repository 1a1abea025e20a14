"""The tensors and sizes of a network, as it states them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import nn

from edge_pipeline.artifact.manifest import Tile
from edge_pipeline.errors import InputError
from edge_pipeline.models.network import Port

__all__ = ["Geometry"]

# Where one graph serves all sizes the reference is small; not square, so that swapped axes show.
_SMALL = (64, 96)
_MOST_PIXELS = 1 << 26


@dataclass(frozen=True)
class Geometry:
    """What a network takes and gives; see `models.network.Network` for the attributes."""

    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    stride: int
    minimum: int
    scale: int
    halo: int | None
    default_size: tuple[int, int]
    free_sizes: bool

    @classmethod
    def of(cls, model: nn.Module) -> Geometry:
        """What the network says of itself."""
        network: Any = model
        return cls(
            inputs=network.inputs,
            outputs=network.outputs,
            stride=network.stride,
            minimum=network.min_size,
            scale=network.scale,
            halo=network.halo,
            default_size=network.default_size,
            free_sizes=network.free_sizes,
        )

    def size(self, asked: tuple[int, int] | None, *, free: bool) -> tuple[int, int]:
        """Height and width to compile for, or to make the reference of where they stay free.

        Args:
            asked: what the user wants, if anything.
            free: whether sizes stay free.

        Raises:
            InputError: a side is no multiple of the stride, or below the minimum, or there are too
                many pixels.
        """
        height, width = asked or (_SMALL if free else self.default_size)
        if height * width > _MOST_PIXELS:
            raise InputError(
                f"the input {height}x{width} has {height * width} pixels; give at most "
                f"{_MOST_PIXELS} (such as 8192x8192)"
            )
        for side in (height, width):
            if side % self.stride or side < self.minimum:
                raise InputError(
                    f"the input {height}x{width} has a side of {side}; {self.inputs[0].name} is "
                    f"taken in multiples of {self.stride} from {self.minimum}"
                )
        return height, width

    def tile(self) -> Tile:
        """The manifest's words for the sizes."""
        return Tile(stride=self.stride, halo=self.halo, scale=self.scale, minimum=self.minimum)
