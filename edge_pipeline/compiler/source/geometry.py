"""The tensors and sizes of a network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import nn

from edge_pipeline.artifact.manifest import Tile
from edge_pipeline.errors import InputError
from edge_pipeline.models.network import Port

__all__ = ["Geometry"]

# Size of the reference input if sizes are free: small, and not square, to detect swapped axes.
_SMALL = (64, 96)
_MOST_PIXELS = 1 << 26


@dataclass(frozen=True)
class Geometry:
    """The inputs, outputs and sizes of a network, as in `models.network.Network`."""

    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    stride: int
    minimum: int
    scale: int
    halo: int | None
    default_size: tuple[int, int]
    free_sizes: bool
    margin: int = 0

    @classmethod
    def of(cls, model: nn.Module) -> Geometry:
        """Return the geometry that the network states in its attributes."""
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
            margin=getattr(network, "margin", 0),
        )

    def size(self, asked: tuple[int, int] | None, *, free: bool) -> tuple[int, int]:
        """Return the height and width to compile for, or of the reference input if sizes are free.

        Args:
            asked: Height and width that the user requests, if any.
            free: Whether sizes stay free.

        Raises:
            InputError: If a side is not a multiple of the stride or below the minimum, or there are
                too many pixels.
        """
        height, width = asked or (self._small() if free else self.default_size)
        if height * width > _MOST_PIXELS:
            raise InputError(
                f"the input {height}x{width} has {height * width} pixels; give at most "
                f"{_MOST_PIXELS} (such as 8192x8192)"
            )
        for side in (height, width):
            if side % self.stride or side < self.minimum:
                raise InputError(
                    f"the input {height}x{width} has a side of {side}; the sides of "
                    f"{self.inputs[0].name} must be multiples of {self.stride} from {self.minimum}"
                )
        return height, width

    def _small(self) -> tuple[int, int]:
        """Return a small size that is not square, and that the network accepts."""
        least = -(-self.minimum // self.stride) * self.stride
        return max(_SMALL[0], least), max(_SMALL[1], least + 2 * self.stride)

    def tile(self) -> Tile:
        """Return the sizes as the manifest stores them."""
        return Tile(
            stride=self.stride,
            halo=self.halo,
            scale=self.scale,
            minimum=self.minimum,
            margin=self.margin,
        )
