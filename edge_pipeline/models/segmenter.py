"""The common part of segmentation networks whose map sizes depend on phi."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeVar

from torch import Tensor, nn

from edge_pipeline.errors import InputError
from edge_pipeline.models.amortised import Amortised
from edge_pipeline.models.layers.rescaling import Phi, factors_of, resize, sizes_of
from edge_pipeline.models.network import Port

__all__ = ["Options", "Segmenter", "VariableResolution", "build_with"]

_O = TypeVar("_O", bound="Options")

# The rescaling factor of the network of the variable-resolution baseline.
_HALF = 0.5


@dataclass(frozen=True)
class Options:
    """Options of a segmentation network.

    Attributes:
        in_channels: Channels of the picture.
        out_channels: Number of classes, or 1 for foreground against background.
        encoder: Channels of each encoder stage from fine to coarse, such as `16-32-64`.
        hidden1: Width of the hypernetwork's first hidden layer.
        hidden2: Width of the hypernetwork's second hidden layer.
        hyper: Whether a hypernetwork computes the weights; False builds the paper's baseline with
            ordinary weights for one phi.
        separate: Whether each rescaling has its own factor; phi is then text such as `0.3-0.5`.
        rescaled: `maps`, or `picture` for the paper's variable-resolution baseline: a network with
            phi = 0.5, whose input is rescaled by phi and whose output is scaled back.
        phi_min: Lowest phi of training, at least 0.
        phi_max: Highest phi of training, at most 1.
        height: Height to compile for if the user requests no size.
        width: Width to compile for if the user requests no size.
        align_corners: Whether interpolation maps corners to corners.
    """

    in_channels: int = 3
    out_channels: int = 1
    encoder: str = "16-32-64-128-256"
    hidden1: int = 10
    hidden2: int = 100
    hyper: bool = True
    separate: bool = False
    rescaled: Literal["maps", "picture"] = "maps"
    phi_min: float = 0.0
    phi_max: float = 1.0
    height: int = 192
    width: int = 256
    align_corners: bool = False

    def __post_init__(self) -> None:
        for name in ("in_channels", "out_channels", "hidden1", "hidden2", "height", "width"):
            if getattr(self, name) < 1:
                raise InputError(f"{name}={getattr(self, name)} must be at least 1")
        if not 0 <= self.phi_min <= self.phi_max <= 1 or self.phi_max == 0:
            raise InputError(
                f"phi_min={self.phi_min} and phi_max={self.phi_max} must be from 0 to 1, phi_min "
                "must not exceed phi_max, and phi_max must not be 0"
            )
        if not self.widths("encoder"):
            raise InputError("encoder is empty; give the channels of at least one stage, as in 16")
        if self.separate and (self.levels < 2 or self.rescaled == "picture"):
            raise InputError("separate=true requires at least two encoder stages and rescaled=maps")

    def widths(self, name: str) -> tuple[int, ...]:
        """Return the channels that the option `name`, such as `encoder`, lists.

        Raises:
            InputError: If the option is not a list of numbers from 1.
        """
        text: str = getattr(self, name)
        parts = text.split("-") if text else []
        if not all(part.isascii() and part.isdigit() and int(part) > 0 for part in parts):
            raise InputError(f"{name}={text} must be channels of at least 1, as in 16-32-64")
        return tuple(int(part) for part in parts)

    @property
    def levels(self) -> int:
        """Number of encoder stages."""
        return len(self.widths("encoder"))

    @property
    def factors(self) -> int:
        """Number of rescaling factors."""
        return self.levels - 1 if self.separate else 1


class Segmenter(nn.Module):
    """Base class of segmentation networks: their description, map sizes and interpolation.

    A subclass has `forward(x, phi)`, which returns scores [N, out_channels, H, W], before softmax
    or sigmoid, for a picture [N, in_channels, H, W] from 0 to 1.

    Args:
        options: Options of the network.

    Attributes:
        inputs, outputs, stride, min_size, halo, scale, default_size, free_sizes: See
            `models.network.Network`. Every size is supported: no level is below one pixel.
        phi_range: Lowest and highest phi of training.
    """

    stride = 1
    min_size = 1
    halo: int | None = None
    scale = 1
    free_sizes = False

    def __init__(self, options: Options) -> None:
        super().__init__()
        self.options = options
        self.phi_range = (options.phi_min, options.phi_max)
        self.default_size = (options.height, options.width)
        self.inputs = (Port("image", options.in_channels, "the picture", "srgb", (0.0, 1.0)),)
        meaning = "one score per class" if options.out_channels > 1 else "score for the foreground"
        self.outputs = (Port("logits", options.out_channels, meaning, "logits"),)
        self.levels = options.levels

    def sizes(self, x: Tensor, phi: Phi) -> list[tuple[int, int]]:
        """Return the map size of each level, fine to coarse, for a picture [N, C, H, W].

        Raises:
            InputError: If phi is outside the trained range.
        """
        factors = factors_of(phi, self.options.factors, self.phi_range)
        each = factors if self.options.separate else factors * (self.levels - 1)
        return sizes_of(x.shape[2], x.shape[3], each, self.levels)

    def resized(self, maps: Tensor, size: tuple[int, int]) -> Tensor:
        """Return maps [N, C, H, W] interpolated bilinearly to [N, C, *size]."""
        return resize(maps, size, align_corners=self.options.align_corners)


class VariableResolution(Segmenter):
    """The variable-resolution baseline: a network with phi = 0.5 on a picture scaled by phi.

    Args:
        options: Options of the network.
        network: Function that builds the network with phi = 0.5.

    Source: [AmortizedScaling], appendix C "Variable Resolution Baseline Experiment".
    """

    def __init__(self, options: _O, network: Callable[[_O], nn.Module]) -> None:
        super().__init__(options)
        at_half = dataclasses.replace(options, phi_min=_HALF, phi_max=_HALF, rescaled="maps")
        self.network = network(at_half)

    def forward(self, x: Tensor, phi: Phi) -> Tensor:
        """Segment the picture at phi times its resolution.

        Args:
            x: Picture [N, in_channels, H, W], 0 to 1.
            phi: Factor of the resolution, within `phi_range`.

        Returns:
            Scores [N, out_channels, H, W], before softmax or sigmoid.

        Raises:
            InputError: If phi is outside the trained range.
        """
        (factor,) = factors_of(phi, 1, self.phi_range)
        _, small = sizes_of(x.shape[2], x.shape[3], factor, 2)
        scores: Tensor = self.network(self.resized(x, small), _HALF)
        return self.resized(scores, (x.shape[2], x.shape[3]))


def build_with(options: _O, network: Callable[[_O], nn.Module]) -> nn.Module:
    """Return a segmentation network, in the hypernetwork's wrapper if `options.hyper`.

    Args:
        options: Options of the network.
        network: Function that builds the plain network with fresh weights.
    """
    picture = options.rescaled == "picture"
    plain = VariableResolution(options, network) if picture else network(options)
    if not options.hyper:
        return plain
    return Amortised(
        plain,
        (options.phi_min, options.phi_max),
        hidden1=options.hidden1,
        hidden2=options.hidden2,
        factors=options.factors,
    )
