"""The meta block of HyperSeg: an inverted residual block with separate weights per patch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch.nn.functional as F  # noqa: N812 - the field's name for it
from torch import Tensor, nn

from edge_pipeline.errors import InputError
from edge_pipeline.models.layers.patchwise import PatchwiseConv2d, WeightMapper, merge, split
from edge_pipeline.models.network import Port

__all__ = ["Options", "OrdinaryBlock", "PatchwiseBlock", "build"]


@dataclass(frozen=True)
class Options:
    """Options of the block.

    Attributes:
        in_channels: Number of input channels.
        out_channels: Number of output channels; if it equals `in_channels`, the block adds its
            input to its output.
        signal_channels: Length of a patch's signal vector, a multiple of `groups`.
        expand: Hidden channels per input channel; unused with kernel 1.
        kernel: 3 for the whole block; 1 for the block of small patches, which consists of the
            first convolution only.
        patch: Height and width of a patch in pixels; at least 2 with kernel 3.
        groups: Channel groups of the weight mapper.
        halo: How the border pixels of a patch's neighbours are computed. With `block`, the
            block's input is padded and cut into overlapping patches once, and each patch computes
            the hidden pixels of its halo with its own weights, as the published implementation
            does from version 1.0. With `layer`, the input of each convolution is padded and cut
            separately, so the hidden pixels of a halo are computed with the neighbour's weights,
            as in section 3.3 of the paper.
        hyper: Whether weights are computed per patch; False builds the same layers with one set of
            ordinary weights for the whole map, zero padding and no signal input.
    """

    in_channels: int = 32
    out_channels: int = 32
    signal_channels: int = 64
    expand: int = 2
    kernel: int = 3
    patch: int = 32
    groups: int = 16
    halo: Literal["block", "layer"] = "block"
    hyper: bool = True

    def __post_init__(self) -> None:
        for name in ("in_channels", "out_channels", "signal_channels", "expand", "patch", "groups"):
            if getattr(self, name) < 1:
                raise InputError(f"{name}={getattr(self, name)} must be at least 1")
        if self.kernel not in (1, 3):
            raise InputError(f"kernel={self.kernel} must be 1 or 3")
        if self.kernel == 3 and self.patch < 2:
            raise InputError(f"patch={self.patch} must be at least 2 with kernel=3")
        if self.signal_channels % self.groups:
            raise InputError(
                f"signal_channels={self.signal_channels} must be a multiple of groups={self.groups}"
            )


def build(options: Options) -> PatchwiseBlock | OrdinaryBlock:
    """Return the block for `options`, with fresh weights from torch's generator."""
    return PatchwiseBlock(options) if options.hyper else OrdinaryBlock(options)


class _Block(nn.Module):
    """Base class of both blocks: their attributes and normalisation layers."""

    scale = 1
    free_sizes = False

    def __init__(self, options: Options) -> None:
        super().__init__()
        self.options = options
        n_in, n_out = options.in_channels, options.out_channels
        self.stride = self.min_size = options.patch
        self.default_size = (8 * options.patch, 8 * options.patch)
        self.halo: int | None = options.kernel // 2
        self.inputs: tuple[Port, ...] = (
            Port("features", n_in, "a decoder level's maps", "features"),
        )
        self.outputs = (Port("features_out", n_out, "the block's maps", "features"),)
        self.whole = options.kernel == 3
        self.hidden = n_in * options.expand if self.whole else n_out
        self.bn1 = nn.BatchNorm2d(self.hidden)
        if self.whole:
            self.bn2 = nn.BatchNorm2d(self.hidden)
            self.bn3 = nn.BatchNorm2d(n_out)


class OrdinaryBlock(_Block):
    """The block's layers with ordinary weights, for comparison.

    Args:
        options: Options of the block; those of patches and signals have no effect.
    """

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        n_in, n_out, hidden = options.in_channels, options.out_channels, self.hidden
        self.pw1 = nn.Conv2d(n_in, hidden, 1, bias=False)
        if self.whole:
            self.dw = nn.Conv2d(hidden, hidden, 3, padding=1, groups=hidden, bias=False)
            self.pw2 = nn.Conv2d(hidden, n_out, 1, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        """Return the output [N, out_channels, H, W] for features [N, in_channels, H, W]."""
        if not self.whole:
            return F.relu(self.bn1(self.pw1(features)))
        hidden = F.relu6(self.bn1(self.pw1(features)))
        y: Tensor = self.bn3(self.pw2(F.relu6(self.bn2(self.dw(hidden)))))
        return features + y if self.options.in_channels == self.options.out_channels else y


class PatchwiseBlock(_Block):
    """Pointwise, depthwise and pointwise convolutions; a signal determines each patch's weights.

    Batch normalisation follows each convolution, and ReLU6 the first two. The normalisation's
    scale can be folded into the weight mapper, and its shift added after the convolution
    ([HyperSeg], appendix E), because the mapper's rows of one output channel are adjacent.

    Args:
        options: Options of the block.

    Attributes:
        stride: Side of a patch; height and width of the features must be multiples of it.
        min_size: Smallest height and width of the features: one patch.
        scale: Output pixels per input pixel along an axis.
        default_size: 8 x 8 patches; 0.65 GFLOP with the default options (0.61 with `layer`).
        free_sizes: False, because the number of channel groups depends on the number of patches.
        halo: Distance up to which features affect an output pixel; of the signal, only the vector
            of the pixel's own patch does.
        inputs: Features, and one signal vector per patch (`OrdinaryBlock`: features only).
        outputs: Features of the same height and width.

    Source: [HyperSeg], section 3.2 and Figure 3; for `kernel=1` and its plain ReLU,
    `hyperseg_v1_0.py` of the published implementation.
    """

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        n_in, n_out, hidden = options.in_channels, options.out_channels, self.hidden
        signal = Port(
            "signal",
            options.signal_channels,
            "one vector per patch, from which its weights are computed",
            "features",
            per=options.patch,
        )
        self.inputs = (*self.inputs, signal)
        self.pw1 = PatchwiseConv2d(n_in, hidden)
        layers: tuple[PatchwiseConv2d, ...] = (self.pw1,)
        if self.whole:
            self.dw = PatchwiseConv2d(hidden, hidden, options.kernel, groups=hidden)
            self.pw2 = PatchwiseConv2d(hidden, n_out)
            layers = (self.pw1, self.dw, self.pw2)
        self.mapper = WeightMapper(options.signal_channels, layers, options.groups)

    def forward(self, features: Tensor, signal: Tensor) -> Tensor:
        """Compute the weights of every patch and apply the block.

        Args:
            features: Feature maps [N, in_channels, H, W]; H and W are multiples of the patch.
            signal: Signal vectors [N, signal_channels, H / patch, W / patch].

        Returns:
            Feature maps [N, out_channels, H, W].
        """
        grid = (signal.shape[2], signal.shape[3])
        weights = self.mapper(signal)
        if not self.whole:
            y = F.relu(self.bn1(self.pw1(split(features, grid, 0), weights[0])))
            return merge(y, grid)
        at_once = self.options.halo == "block"
        # patches: [N * rows * columns, channels, height, width]
        patches = split(features, grid, 1 if at_once else 0)
        patches = F.relu6(self.bn1(self.pw1(patches, weights[0])))
        if not at_once:
            patches = split(merge(patches, grid), grid, 1)
        patches = F.relu6(self.bn2(self.dw(patches, weights[1])))
        patches = self.bn3(self.pw2(patches, weights[2]))
        y = merge(patches, grid)
        return features + y if self.options.in_channels == self.options.out_channels else y
