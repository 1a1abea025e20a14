"""The UNet whose maps shrink by any factor phi a level, with weights computed from phi.

What the paper leaves open is settled as follows. Sizes: its text rounds to the nearest integer,
its tables come out with the floor alone, never below one pixel. Interpolation: it says bilinear
and nothing of corners, so torch's default stands (`align_corners` False). Padding: zeros, so that
a convolution keeps its map's size.
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

# torch's own default, which the paper does not change.
_SLOPE = 0.01

# 90 * 0.7 is 62.99999999999999 in binary and 63 on paper. No product of a size below 2**16 and a
# phi of up to four decimals comes this near an integer without being one.
_BINARY_ERROR = 1e-6


@dataclass(frozen=True)
class Options:
    """What the network can be built with.

    Attributes:
        in_channels: channels of the picture.
        out_channels: classes, or 1 for foreground against background.
        encoder: channels of each encoder stage from fine to coarse, as `16-32-64`.
        decoder: channels of each decoder stage from coarse to fine; one fewer than the encoder.
        hidden1: width of the hypernetwork's first hidden layer.
        hidden2: and of the second.
        hyper: False gives the paper's baseline, ordinary weights for one phi.
        phi_min: lowest phi of training, at least 0.
        phi_max: highest, at most 1.
        height: rows to compile for where no size is asked for.
        width: columns.
        align_corners: whether interpolation maps corners to corners.
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
                f"phi_min={self.phi_min} and phi_max={self.phi_max} must be within 0 to 1, "
                "in this order"
            )
        encoder, decoder = self.widths("encoder"), self.widths("decoder")
        if len(decoder) != len(encoder) - 1:
            raise InputError(
                f"decoder={self.decoder} has {len(decoder)} stages, and the {len(encoder)} of "
                f"encoder={self.encoder} need {len(encoder) - 1}"
            )

    def widths(self, name: str) -> tuple[int, ...]:
        """The channels that the option `name` (`encoder` or `decoder`) lists.

        Raises:
            InputError: it is no list of numbers of at least 1, or empty for the encoder.
        """
        text: str = getattr(self, name)
        parts = text.split("-") if text else []
        if not all(part.isascii() and part.isdigit() and int(part) > 0 for part in parts):
            raise InputError(f"{name}={text} must be channels from 1, as in 16-32-64")
        if name == "encoder" and not parts:
            raise InputError("encoder is empty; give the channels of a stage at least, as in 16")
        return tuple(int(part) for part in parts)


class _Shape(NamedTuple):
    """A convolution's channels in and out, and its kernel's side."""

    n_in: int
    n_out: int
    kernel: int


def build(options: Options) -> PhiUNet:
    """The network for `options`, with fresh weights from torch's generator."""
    return PhiUNet(options)


def sizes_of(height: int, width: int, phi: float, levels: int) -> list[tuple[int, int]]:
    """Height and width of each level's maps, fine to coarse: floor(previous * phi), at least 1.

    Args:
        height: of the first level, at least 1.
        width: of the first level, at least 1.
        phi: the rescaling factor, 0 to 1.
        levels: how many, at least 1.
    """
    sizes = [(height, width)]
    while len(sizes) < levels:
        rows, columns = (max(1, math.floor(side * phi + _BINARY_ERROR)) for side in sizes[-1])
        sizes.append((rows, columns))
    return sizes


class _Convolution(nn.Module):
    """A convolution with weights of its own, or one that is given its weights at each call."""

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
        """[N, n_in, H, W] -> [N, n_out, H, W], with the given weight and bias or its own."""
        weight, bias = given or (self.weight, self.bias)
        return F.conv2d(x, weight, bias, padding=self.padding)


class PhiUNet(nn.Module):
    """A UNet of any rescaling factor, and the hypernetwork that gives it its weights.

    A stage is two 3x3 convolutions, each with LeakyReLU; between stages, bilinear interpolation.
    A decoder stage takes the encoder's map of its level and the one from below, concatenated.

    Args:
        options: see Options.

    Attributes:
        inputs, outputs, stride, min_size, halo, scale, default_size, free_sizes: see
            `models.network.Network`; sizes below one pixel are held at one, so every size goes.
        phi_range: lowest and highest phi of training.

    Source: papers/000, section 4.1 and appendix A.1.
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
        meaning = "a score a class" if options.out_channels > 1 else "a score for the foreground"
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
            x: [N, in_channels, H, W], a picture in 0..1.
            phi: within `phi_range`; it sets the weights and the sizes of the maps.

        Returns:
            [N, out_channels, H, W], scores before softmax or sigmoid.

        Raises:
            InputError: phi is outside the trained range.
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
        """Two convolutions of one level, each with its activation."""
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

    def let_through(self) -> None:
        """Rescale fresh weights so that the output depends on the picture, for every phi.

        With the published initialisation almost nothing but biases is left after two stages. It
        is meant for training; see docs/decisions/0016-dead-outputs.md.
        """
        if self.hypernetwork is not None:
            lowest, highest = self.phi_range
            self.hypernetwork.keep_variance([lowest, (lowest + highest) / 2, highest])

    def _check(self, phi: float) -> None:
        lowest, highest = self.phi_range
        # Written so that a value that is no number fails too.
        if not (isinstance(phi, int | float) and lowest <= phi <= highest):
            raise InputError(
                f"phi={phi} is outside the range {lowest} to {highest} that the network is "
                "trained for"
            )


def _shapes(options: Options) -> dict[str, _Shape]:
    """The convolutions by name, in call order; stages are named after their level, 0 the finest."""
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
