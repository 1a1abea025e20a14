"""The UNet whose maps shrink by any factor phi per level, with weights computed from phi.

Choices that the paper leaves open: Sizes are rounded down, to at least one pixel; the paper's text
rounds to the nearest integer, but only rounding down reproduces its tables. Interpolation is
bilinear with torch's default `align_corners=False`, because the paper does not mention corners.
Convolutions pad with zeros and keep the size of their maps.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from torch import Tensor, nn

from edge_pipeline.errors import InputError
from edge_pipeline.models.layers.hypernetwork import Hypernetwork, initialise
from edge_pipeline.models.network import Port

__all__ = ["Options", "PhiUNet", "build", "sizes_of"]

# Negative slope of LeakyReLU: torch's default, which the paper does not change.
_SLOPE = 0.01

# 90 * 0.7 is 62.99999999999999 in floating point, but 63 exactly. A product of a size below 2**16
# and a phi of up to four decimals that is this close to an integer is that integer.
_BINARY_ERROR = 1e-6


@dataclass(frozen=True)
class Options:
    """Options of the network.

    Attributes:
        in_channels: Channels of the picture.
        out_channels: Number of classes, or 1 for foreground against background.
        encoder: Channels of each encoder stage from fine to coarse, such as `16-32-64`.
        decoder: Channels of each decoder stage from coarse to fine; one stage fewer than `encoder`.
        hidden1: Width of the hypernetwork's first hidden layer.
        hidden2: Width of the hypernetwork's second hidden layer.
        hyper: Whether a hypernetwork computes the weights; False builds the paper's baseline with
            ordinary weights for one phi.
        phi_min: Lowest phi of training, at least 0.
        phi_max: Highest phi of training, at most 1.
        height: Height to compile for if the user requests no size.
        width: Width to compile for if the user requests no size.
        align_corners: Whether interpolation maps corners to corners.
    """

    in_channels: int = 3
    out_channels: int = 1
    encoder: str = "16-32-64-128-256"
    decoder: str = "32-16-8-4"
    hidden1: int = 10
    hidden2: int = 100
    hyper: bool = True
    phi_min: float = 0.0
    phi_max: float = 0.6
    height: int = 192
    width: int = 256
    align_corners: bool = False

    def __post_init__(self) -> None:
        for name in ("in_channels", "out_channels", "hidden1", "hidden2", "height", "width"):
            if getattr(self, name) < 1:
                raise InputError(f"{name}={getattr(self, name)} must be at least 1")
        if not 0 <= self.phi_min <= self.phi_max <= 1:
            raise InputError(
                f"phi_min={self.phi_min} and phi_max={self.phi_max} must be from 0 to 1, and "
                "phi_min must not exceed phi_max"
            )
        encoder, decoder = self.widths("encoder"), self.widths("decoder")
        if len(decoder) != len(encoder) - 1:
            raise InputError(
                f"decoder={self.decoder} has {len(decoder)} stages, and the {len(encoder)} of "
                f"encoder={self.encoder} require {len(encoder) - 1} decoder stages"
            )

    def widths(self, name: str) -> tuple[int, ...]:
        """Return the channels that the option `name` (`encoder` or `decoder`) lists.

        Raises:
            InputError: If the option is not a list of numbers from 1, or if `encoder` is empty.
        """
        text: str = getattr(self, name)
        parts = text.split("-") if text else []
        if not all(part.isascii() and part.isdigit() and int(part) > 0 for part in parts):
            raise InputError(f"{name}={text} must be channels of at least 1, as in 16-32-64")
        if name == "encoder" and not parts:
            raise InputError("encoder is empty; give the channels of at least one stage, as in 16")
        return tuple(int(part) for part in parts)


class _Shape(NamedTuple):
    """The input and output channels of a convolution, and the side of its kernel."""

    n_in: int
    n_out: int
    kernel: int


def build(options: Options) -> PhiUNet:
    """Return the network for `options`, with fresh weights from torch's generator."""
    return PhiUNet(options)


def sizes_of(height: int, width: int, phi: float, levels: int) -> list[tuple[int, int]]:
    """Return height and width of each level, fine to coarse: floor(previous * phi), at least 1.

    Args:
        height: Height of the first level, at least 1.
        width: Width of the first level, at least 1.
        phi: Rescaling factor, 0 to 1.
        levels: Number of levels, at least 1.
    """
    sizes = [(height, width)]
    while len(sizes) < levels:
        rows, columns = (max(1, math.floor(side * phi + _BINARY_ERROR)) for side in sizes[-1])
        sizes.append((rows, columns))
    return sizes


class _Convolution(nn.Module):
    """A convolution with its own weights or, if `given`, with weights passed at each call."""

    def __init__(self, shape: _Shape, *, given: bool) -> None:
        super().__init__()
        self.padding = shape.kernel // 2
        if not given:
            self.weight = nn.Parameter(
                torch.empty(shape.n_out, shape.n_in, shape.kernel, shape.kernel)
            )
            self.bias = nn.Parameter(torch.zeros(shape.n_out))
            initialise(self.weight, slope=_SLOPE)

    def forward(self, x: Tensor, given: tuple[Tensor, Tensor] | None) -> Tensor:
        """Convolve [N, n_in, H, W] to [N, n_out, H, W], with its own weights if `given` is None."""
        weight, bias = given or (self.weight, self.bias)
        return F.conv2d(x, weight, bias, padding=self.padding)


class PhiUNet(nn.Module):
    """A UNet with any rescaling factor, and the hypernetwork that computes its weights.

    A stage is two 3x3 convolutions, each followed by LeakyReLU; bilinear interpolation connects the
    stages. The input of a decoder stage is the encoder's map of the same level, concatenated with
    the output of the next coarser stage.

    Args:
        options: Options of the network.

    Attributes:
        inputs, outputs, stride, min_size, halo, scale, default_size, free_sizes: See
            `models.network.Network`. Every size is supported: no level is below one pixel.
        phi_range: Lowest and highest phi of training.

    Source: [AmortizedScaling], section 4.1 and appendix A.1.
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
        self.levels = len(options.widths("encoder"))
        shapes = _shapes(options)
        for name, shape in shapes.items():
            self.add_module(name, _Convolution(shape, given=options.hyper))
        self.hypernetwork: Hypernetwork | None = None
        if options.hyper:
            tensors: dict[str, tuple[int, ...]] = {}
            for name, (n_in, n_out, kernel) in shapes.items():
                tensors[f"{name}.weight"] = (n_out, n_in, kernel, kernel)
                tensors[f"{name}.bias"] = (n_out,)
            self.hypernetwork = Hypernetwork(tensors, options.hidden1, options.hidden2)

    def forward(self, x: Tensor, phi: float) -> Tensor:
        """Compute the weights for phi and apply them.

        Args:
            x: Picture [N, in_channels, H, W], 0 to 1.
            phi: Rescaling factor within `phi_range`; it determines the weights and the map sizes.

        Returns:
            Scores [N, out_channels, H, W], before softmax or sigmoid.

        Raises:
            InputError: If phi is outside the trained range.
        """
        self._check(phi)
        weights: dict[str, Tensor] = {}
        if self.hypernetwork is not None:
            weights = self.hypernetwork(torch.full((1,), phi, dtype=x.dtype, device=x.device))
        sizes = sizes_of(x.shape[2], x.shape[3], phi, self.levels)
        # skips[i]: [N, encoder[i], *sizes[i]]
        skips = [self._stage("encoder0", x, weights)]
        for level in range(1, self.levels):
            smaller = self._resized(skips[-1], sizes[level])
            skips.append(self._stage(f"encoder{level}", smaller, weights))
        y = skips[-1]
        for level in reversed(range(self.levels - 1)):
            # [N, encoder[level] + channels of y, *sizes[level]]
            joined = torch.cat([skips[level], self._resized(y, sizes[level])], 1)
            y = self._stage(f"decoder{level}", joined, weights)
        return self._convolved("classify", y, weights)

    def _stage(self, name: str, maps: Tensor, weights: Mapping[str, Tensor]) -> Tensor:
        """Apply the two convolutions of a stage, each followed by its activation."""
        for i in (0, 1):
            maps = F.leaky_relu(self._convolved(f"{name}_{i}", maps, weights), _SLOPE)
        return maps

    def _convolved(self, name: str, maps: Tensor, weights: Mapping[str, Tensor]) -> Tensor:
        given = (weights[f"{name}.weight"], weights[f"{name}.bias"]) if weights else None
        convolved: Tensor = self.get_submodule(name)(maps, given)
        return convolved

    def _resized(self, maps: Tensor, size: tuple[int, int]) -> Tensor:
        return F.interpolate(
            maps, size=size, mode="bilinear", align_corners=self.options.align_corners
        )

    def rescale_weights(self) -> None:
        """Rescale fresh weights so that the output depends on the picture for every phi.

        With the published initialisation, which is for training, the maps after two stages are
        almost only biases; see docs/decisions/0016-dead-outputs.md.
        """
        if self.hypernetwork is not None:
            lowest, highest = self.phi_range
            self.hypernetwork.keep_variance([lowest, (lowest + highest) / 2, highest])

    def _check(self, phi: float) -> None:
        lowest, highest = self.phi_range
        # NaN and values that are not numbers fail this test too.
        if not (isinstance(phi, int | float) and lowest <= phi <= highest):
            raise InputError(
                f"phi={phi} is outside the range {lowest} to {highest} for which the network is "
                "trained"
            )


def _shapes(options: Options) -> dict[str, _Shape]:
    """Return the convolutions by name, in call order; stage numbers are levels, 0 the finest."""
    encoder, decoder = options.widths("encoder"), options.widths("decoder")
    shapes: dict[str, _Shape] = {}
    n_in = options.in_channels
    for level, width in enumerate(encoder):
        shapes[f"encoder{level}_0"] = _Shape(n_in, width, 3)
        shapes[f"encoder{level}_1"] = _Shape(width, width, 3)
        n_in = width
    for level, width in zip(reversed(range(len(decoder))), decoder, strict=True):
        shapes[f"decoder{level}_0"] = _Shape(encoder[level] + n_in, width, 3)
        shapes[f"decoder{level}_1"] = _Shape(width, width, 3)
        n_in = width
    shapes["classify"] = _Shape(n_in, options.out_channels, 1)
    return shapes
