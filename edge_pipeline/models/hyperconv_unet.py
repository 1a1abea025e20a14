"""The HyperConv UNet: packed Bayer in, RGB of twice the size out ([HyperConvISP], Table 6)."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from torch import Tensor, nn

from edge_pipeline.errors import InputError
from edge_pipeline.models.layers import given_filters
from edge_pipeline.models.layers.convolution import ReflectConv
from edge_pipeline.models.layers.hyperconv import HyperConv
from edge_pipeline.models.layers.margin import without
from edge_pipeline.models.layers.shuffle_head import ShuffleHead, compress
from edge_pipeline.models.network import Port

__all__ = ["HyperConvUNet", "Options", "build"]

# The reach of the stage at full resolution after the coarser ones, rounded up, in input pixels.
_LAST_REACH = 8


@dataclass(frozen=True)
class Options:
    """Options of the network.

    Attributes:
        in_channels: Channels of the packed capture; 4 for Bayer.
        out_channels: Channels of the picture.
        n_fwd: Feature maps of the forward network, an even number.
        n_embed: Feature maps of the first layer of an embedding network, an even number.
        n_hid: Hidden width of the filter predictors at full scale, an even number.
        hyper: Whether filters are predicted; False builds the ablation with ordinary convolutions.
        head: `published` upsamples bilinearly, then convolves; `shuffle` convolves at packed
            resolution to four times the channels, then rearranges channels into pixels.
    """

    in_channels: int = 4
    out_channels: int = 3
    n_fwd: int = 32
    n_embed: int = 16
    n_hid: int = 256
    hyper: bool = True
    head: Literal["published", "shuffle"] = "published"

    def __post_init__(self) -> None:
        for name in ("in_channels", "out_channels"):
            if getattr(self, name) < 1:
                raise InputError(f"{name}={getattr(self, name)} must be at least 1")
        for name in ("n_fwd", "n_embed", "n_hid"):
            value = getattr(self, name)
            if value < 2 or value % 2:
                raise InputError(f"{name}={value} must be even and at least 2")


def build(options: Options) -> HyperConvUNet:
    """Return the network for `options`, with fresh weights from torch's generator."""
    return HyperConvUNet(options)


def _embedding(channels: list[int], pools: list[int], *, stride: int = 1) -> nn.Sequential:
    """Return 3x3 convolutions, the first with `stride`, with max pooling and GELU between them."""
    layers: list[nn.Module] = []
    for i, (n_in, n_out) in enumerate(itertools.pairwise(channels)):
        if i:
            layers += [nn.MaxPool2d(pools[i - 1]), nn.GELU()]
        layers.append(nn.Conv2d(n_in, n_out, 3, padding=1, stride=stride if i == 0 else 1))
    return nn.Sequential(*layers)


def _capture(channels: int) -> Port:
    return Port(
        "packed",
        channels,
        "normalised packed Bayer capture: R, G on red rows, G on blue rows, B",
        "packed_bayer_white_balanced",
        (0.0, 1.0),
    )


def _picture(channels: int) -> Port:
    about = "the picture, in the model card's output space"
    return Port("rgb", channels, about, "camera_linear", (0.0, 1.0), times=2)


class HyperConvUNet(nn.Module):
    """A UNet of HyperConvs whose filters are predicted from four embedding networks.

    Args:
        options: Options of the network.

    Attributes:
        stride: Number of which height and width of the input must be multiples.
        min_size: Smallest height and width; below it the coarsest embedding would be empty.
        scale: Output pixels per input pixel along an axis.
        default_size: Packed height and width to compile for.
        free_sizes: Whether one graph supports all sizes.
        inputs: The packed capture.
        outputs: The picture.
        halo: Distance, in input pixels, up to which input pixels affect an output pixel if the
            filters are given; None for the published head, which aligns corners, so that every
            output pixel depends on the size of the input.
        margin: Distance, in input pixels, from the edges of the input up to which there is no
            output; 0 before `trim`.

    Source: [HyperConvISP], Table 6 and Figures 7 and 8.
    """

    stride = 16
    min_size = 32
    margin = 0
    scale = 2
    default_size = (256, 256)
    free_sizes = True

    def __init__(self, options: Options) -> None:
        super().__init__()
        self.options = options
        shuffle = options.head == "shuffle"
        self.halo: int | None = 80 if shuffle else None
        self.inputs = (_capture(options.in_channels),)
        self.outputs = (_picture(options.out_channels),)
        c, n, e, h = options.in_channels, options.n_fwd, options.n_embed, options.n_hid

        def embedding(channels: list[int], pools: list[int], *, stride: int = 1) -> nn.Module:
            return _embedding(channels, pools, stride=stride) if options.hyper else nn.Identity()

        self.embed = embedding([c, e, 2 * e, 4 * e, 8 * e, 16 * e], [2, 2, 2, 4])
        self.embed2 = embedding([n, e, 2 * e, 4 * e, 8 * e], [2, 2, 4], stride=2)
        self.embed4 = embedding([n // 2, e // 2, 2 * e, 4 * e], [2, 4])
        self.embed8 = embedding([n // 2, e // 2, 2 * e], [4])

        def conv(n_in: int, n_hyper: int, n_out: int, n_hid: int) -> nn.Module:
            if not options.hyper:
                return ReflectConv(n_in, n_out)
            return HyperConv(n_in, n_hyper, n_out, bias=True, n_hid=n_hid)

        self.hyper_conv0 = conv(c, 16 * e, n, h)
        self.hyper_conv1 = conv(n, 16 * e, n, h)
        self.hyper_conv1_2 = conv(n, 8 * e, n // 2, h // 2)
        self.hyper_conv1_4 = conv(n // 2, 4 * e, n // 2, h // 2)
        self.hyper_conv1_8 = conv(n // 2, 2 * e, n // 2, h // 2)
        self.hyper_conv1_16 = conv(n // 2, 2 * e, n // 2, h // 2)
        self.hyper_conv2_8 = conv(n // 2, 2 * e, n // 2, h // 2)
        self.hyper_conv2_4 = conv(n // 2, 4 * e, n // 2, h // 2)
        self.hyper_conv2_2 = conv(n // 2, 8 * e, n, h // 2)
        self.hyper_conv2 = conv(n, 16 * e, n, h)
        self.hyper_conv4 = conv(n, 16 * e, options.out_channels * (4 if shuffle else 1), h)
        self.head = ShuffleHead(c, options.out_channels) if shuffle else None

    def trim(self) -> None:
        """Compute the stage at full resolution, after the coarser ones, only where tiles keep it.

        Raises:
            InputError: If the head is the published one, for which there are no tiles.
        """
        if self.halo is None:
            raise InputError(
                "the published head aligns corners, so no part of its output can be left out; "
                "give head=shuffle, or leave out --trimmed"
            )
        self.margin = self.halo - _LAST_REACH
        self.min_size = 2 * self.margin + self.stride

    def forward(self, x: Tensor) -> Tensor:
        """Predict the filters of every sample and apply them.

        Args:
            x: Normalised packed Bayer [N, in_channels, H, W], about 0 to 1; H and W are multiples
                of 16 and at least 32.

        Returns:
            The picture [N, out_channels, 2H, 2W], less `margin` at each edge.
        """
        if self.head is not None:
            x = compress(x)
        # x: [N, in_channels, H, W]; y0: [N, n_fwd, H, W]
        e = self.embed(x)
        y0 = self.hyper_conv0(x, e).clamp(0, 1)
        y0 = (self.hyper_conv1(y0, e) + y0).clamp(0, 1)
        # y2: [N, n_fwd/2, H/2, W/2], and so on by scale
        e2 = self.embed2(y0)
        y2 = F.gelu(self.hyper_conv1_2(F.max_pool2d(y0, 2), e2))
        e4 = self.embed4(F.max_pool2d(y2, 2))
        y4 = F.gelu(self.hyper_conv1_4(F.max_pool2d(y2, 2), e4))
        e8 = self.embed8(F.max_pool2d(y4, 2))
        y8 = F.gelu(self.hyper_conv1_8(F.max_pool2d(y4, 2), e8))
        y16 = F.gelu(self.hyper_conv1_16(F.max_pool2d(y8, 2), e8))
        y8 = F.gelu(self.hyper_conv2_8(y8 + self._up(y16 * 0.25), e8) + y8)
        y4 = F.gelu(self.hyper_conv2_4(y4 + self._up(y8 * 0.25), e4) + y4)
        y2 = F.gelu(self.hyper_conv2_2(y2 + self._up(y4 * 0.25), e2) + y2.mean(1, keepdim=True))
        y0, y2 = without(y0, self.margin), without(y2, self.margin // 2)
        y = F.gelu(self.hyper_conv2(y0 + self._up(y2 * 0.25), e) + y0)
        x = without(x, self.margin)
        y = y + x.mean(1, keepdim=True)
        if self.head is None:
            return torch.sigmoid(self.hyper_conv4(self._up(y), e))
        rgb: Tensor = self.head(x, self.hyper_conv4(y, e))
        return rgb

    def _up(self, y: Tensor) -> Tensor:
        return F.interpolate(y, scale_factor=2.0, mode="bilinear", align_corners=self.head is None)

    def predict_filters(self, x: Tensor) -> dict[str, Tensor]:
        """Return the predicted filters by name.

        Args:
            x: Packed capture, as for `forward`.

        Returns:
            `LAYER.weight` [N, out, in, 3, 3] and `LAYER.bias` [N, out] of each layer, in call
            order; an empty dict for the ablation, which predicts no filters.
        """
        return given_filters.predict_filters(self, x)

    def apply_filters(self, x: Tensor, filters: Mapping[str, Tensor]) -> Tensor:
        """Return the picture for given filters, without the embedding networks and predictors.

        Args:
            x: Packed capture, as for `forward`.
            filters: Output of `predict_filters` for as many samples.
        """
        embeddings = (self.embed, self.embed2, self.embed4, self.embed8)
        return given_filters.apply_filters(self, x, filters, embeddings=embeddings)
