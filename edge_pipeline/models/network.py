"""What a network says of itself: its tensors, the sizes it takes, where its weights are from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from torch import Tensor

__all__ = ["Network", "PhiNetwork", "Port", "Rescalable"]


@dataclass(frozen=True)
class Port:
    """A tensor that a network takes or gives: [N, channels, H * times / per, W * times / per].

    H and W are the height and width of the network's first input.

    Attributes:
        name: in the manifest, `image` or `packed` or `logits`.
        channels: how many.
        meaning: a clause for the manifest.
        space: what the values are, in the manifest's words (`artifact.schema.Space`).
        range: what the values usually span.
        times: rows of this tensor per row of the first input.
        per: rows of the first input per row of this tensor.
        fixed: the shape of a tensor that does not follow the first input's size, or is no map.
    """

    name: str
    channels: int
    meaning: str
    space: str
    range: tuple[float, float] | None = None
    times: int = 1
    per: int = 1
    fixed: tuple[int, ...] | None = None

    @classmethod
    def of_unknown(cls, name: str, shape: tuple[int, ...] | None = None) -> Port:
        """The port of a tensor of which nothing but its shape is known."""
        channels = shape[1] if shape is not None and len(shape) > 1 else 1
        return cls(name, channels, "not described", "features", fixed=shape)

    def shape(self, height: int, width: int) -> tuple[int, ...]:
        """The shape of one sample if the first input is `height` x `width`."""
        if self.fixed is not None:
            return self.fixed
        rows, columns = (side * self.times // self.per for side in (height, width))
        return 1, self.channels, rows, columns


class Network(Protocol):
    """What the compiler and the cost counter ask of any network.

    Attributes:
        inputs: in call order; the first one's H and W are the network's size.
        outputs: in order; a network of one output gives a tensor, of several a tuple.
        stride: H and W are multiples of it.
        min_size: and at least this.
        halo: how far an output pixel sees, in pixels of the first input; None where there is no
            limit or it depends on the whole size.
        scale: output pixels per pixel of the first input along an axis.
        default_size: height and width to compile for where none is asked for.
        free_sizes: whether one graph may serve all sizes.
    """

    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    stride: int
    min_size: int
    halo: int | None
    scale: int
    default_size: tuple[int, int]
    free_sizes: bool


@runtime_checkable
class PhiNetwork(Protocol):
    """A network whose weights a hypernetwork computes from the rescaling factor phi alone.

    Attributes:
        phi_range: lowest and highest phi that it was, or is to be, trained at.
    """

    phi_range: tuple[float, float]

    def predict_weights(self, phi: Tensor) -> dict[str, Tensor]:
        """The weights by name, in the layers' own shapes; phi is of shape [1]."""
        ...

    def apply_weights(self, x: Tensor, phi: float, weights: Mapping[str, Tensor]) -> Tensor:
        """The output with given weights; `phi` sets the sizes of the maps."""
        ...


@runtime_checkable
class Rescalable(Protocol):
    """A network whose published initialisation leaves an output that ignores the input."""

    def let_through(self) -> None:
        """Rescale fresh weights so that the output depends on the input."""
        ...
