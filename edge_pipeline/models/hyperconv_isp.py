"""A camera ISP whose filters are computed from the capture: packed Bayer in, linear RGB out."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from torch import Tensor, nn

from edge_pipeline.errors import InputError
from edge_pipeline.models.layers.basis_conv import BasisConv, in_type_of
from edge_pipeline.models.layers.coding import compress, expand
from edge_pipeline.models.layers.directional import DirectionalDemosaic
from edge_pipeline.models.layers.hyperconv import Filters
from edge_pipeline.models.layers.noise_statistics import NoiseStatistics
from edge_pipeline.models.network import Port

__all__ = ["HyperConvIsp", "Options", "build"]

# The correction's size follows Wiener's filter for detail of this deviation, and never vanishes.
_DETAIL, _MOST_GAIN, _LEAST_GAIN = 0.04, 2.0, 0.02
# The disagreement of two estimates is a fraction of the picture's range.
_DISAGREEMENT = 4.0


@dataclass(frozen=True)
class Options:
    """The network's sizes.

    Attributes:
        width: channels at a quarter of the mosaic's resolution.
        coarse: channels at an eighth.
        before: residual convolutions before the coarse level, at a quarter.
        within: residual convolutions at the coarse level.
        after: residual convolutions after it, at a quarter.
        n_basis: coefficients that the predictor computes.
    """

    width: int = 48
    coarse: int = 80
    before: int = 1
    within: int = 1
    after: int = 2
    n_basis: int = 6

    def __post_init__(self) -> None:
        for name in ("width", "coarse", "before", "within", "after", "n_basis"):
            if getattr(self, name) < 1:
                raise InputError(f"{name}={getattr(self, name)} must be at least 1")


def build(options: Options) -> HyperConvIsp:
    """The network for `options`, with fresh weights from torch's generator."""
    return HyperConvIsp(options)


def _full_precision(x: Tensor) -> AbstractContextManager[object]:
    """A context without autocast; nothing at all if autocast is off, as in an export."""
    device = x.device.type
    if not torch.amp.is_autocast_available(device) or not torch.is_autocast_enabled(device):
        return nullcontext()
    return torch.autocast(device, enabled=False)


class HyperConvIsp(nn.Module):
    """Demosaic along edges, then correct with filters that suit the capture's noise.

    A parameter-free directional demosaicing gives a first picture. A UNet at a quarter and an
    eighth of the mosaic's resolution, where a convolution is cheapest, adds a correction to it, in
    a coding that evens out noise. The filters of its residual convolutions are mixtures, whose
    coefficients a small network computes from the capture and its measured noise. The filters of
    the last convolution are scaled by the noise: a clean capture is hardly corrected.

    Args:
        options: see Options.

    Attributes:
        stride: height and width of the packed input must be multiples of this.
        min_size: the least height and width of the packed input.
        scale: output pixels per packed pixel along an axis.
        halo: how far, in packed pixels, an output pixel sees if the filters are given.
        default_size: packed height and width to compile for.
        free_sizes: one graph serves all sizes.
        inputs: the packed capture.
        outputs: the picture.

    Without an activation between them, the first, the coarse and the last convolution can smooth
    linearly, which training finds at once; activations come before each residual convolution.

    Source: papers/002 (filters predicted from the capture); arXiv 2601.00703 (work at reduced
    resolution); arXiv 2009.06205 (learn the residual of a strong classical method).
    """

    stride = 4
    min_size = 16
    scale = 2
    default_size = (256, 256)
    free_sizes = True
    inputs = (
        Port(
            "packed",
            4,
            "normalised packed Bayer capture: R, G on red rows, G on blue rows, B",
            "packed_bayer_white_balanced",
            (0.0, 1.0),
        ),
    )
    outputs = (
        Port("rgb", 3, "the picture, linear camera RGB", "camera_linear", (0.0, 1.0), times=2),
    )

    def __init__(self, options: Options) -> None:
        super().__init__()
        self.options = options
        width, coarse, k = options.width, options.coarse, options.n_basis
        reach = 12 + 4 * options.within + 2 * (options.before + options.after)
        self.halo: int | None = -(-reach // self.stride) * self.stride
        self.demosaic = DirectionalDemosaic()
        self.noise = NoiseStatistics(4)
        self.embed = nn.Sequential(
            nn.Conv2d(4, 24, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(24, 32, 3, padding=1, stride=2),
            nn.ReLU(),
            nn.Conv2d(32, 48, 3, padding=1, stride=2),
            nn.ReLU(),
        )
        self.mix = nn.Sequential(nn.Linear(2 * 48 + 2 * 4, 64), nn.ReLU(), nn.Linear(64, k))
        # A filter of 6 x 6 packed pixels, every second one: 3 x 3 cells of 4 x 4 mosaic pixels.
        self.enter = nn.Conv2d(4 + 2 + 1, width, 6, stride=2, padding=2)
        self.down = nn.Conv2d(width, coarse, 3, stride=2, padding=1)

        def several(n: int, channels: int) -> nn.ModuleList:
            return nn.ModuleList(BasisConv(channels, channels, n_basis=k) for _ in range(n))

        self.before = several(options.before, width)
        self.within = several(options.within, coarse)
        self.up = BasisConv(coarse, width, 1, n_basis=k)
        self.after = several(options.after, width)
        self.leave = BasisConv(width, 48, 1, n_basis=k, scale=0.01)
        for conv in (self.enter, self.down):
            nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
            nn.init.zeros_(conv.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """Predict the filters of every sample and apply them.

        Args:
            x: [N, 4, H, W], normalised packed Bayer, about 0..1; H and W multiples of 4 and at
                least 16.

        Returns:
            [N, 3, 2H, 2W], linear camera RGB.
        """
        return self.apply_filters(x, self.predict_filters(x))

    def predict_filters(self, x: Tensor) -> dict[str, Tensor]:
        """The filters by name: `LAYER.weight` [N, out, in, f, f] and `LAYER.bias` [N, out].

        Args:
            x: as for forward.
        """
        with _full_precision(x):
            z = compress(x)
            features = self.embed(z)  # [N, 48, H/4, W/4]
            noise = self.noise(z)  # two of [N, 4]
            pooled = (features.mean((2, 3)), features.amax((2, 3)), *map(torch.sqrt, noise))
            coefficients = self.mix(torch.cat(pooled, 1))  # [N, n_basis]
            deviation = noise.least.mean(1, keepdim=True)  # [N, 1]
            variance = deviation * deviation
            gain = _MOST_GAIN * variance / (variance + _DETAIL**2) + _LEAST_GAIN
            predicted: dict[str, Tensor] = {}
            for name, layer in self.named_modules():
                if isinstance(layer, BasisConv):
                    filters = layer.predict(coefficients)
                    if layer is self.leave:
                        filters = filters.scaled(gain)
                    predicted |= filters.named(name)
        return predicted

    def apply_filters(self, x: Tensor, filters: Mapping[str, Tensor]) -> Tensor:
        """The picture, with given filters.

        Args:
            x: as for forward.
            filters: as predict_filters gives them, for as many samples, or one set for all.
        """

        def conv(name: str, y: Tensor) -> Tensor:
            layer = self.get_submodule(name)
            result: Tensor = layer(y, Filters.from_named(name, filters))
            return result

        def residual(name: str, layers: nn.ModuleList, y: Tensor) -> Tensor:
            for i in range(len(layers)):
                y = y + conv(f"{name}.{i}", F.relu(y))
            return y

        with _full_precision(x):
            z = compress(x)
            first = self.demosaic(z)
            seen = torch.cat([z, _DISAGREEMENT * first.disagreement, first.share - 0.5], 1)
        # seen: [N, 7, H, W]; fine: [N, width, H/2, W/2]; coarse: [N, coarse, H/4, W/4]
        fine = residual("before", self.before, self.enter(seen))
        coarse = residual("within", self.within, self.down(fine))
        fine = fine + F.interpolate(
            conv("up", coarse), scale_factor=2.0, mode="bilinear", align_corners=False
        )
        fine = residual("after", self.after, fine)
        correction = F.pixel_shuffle(conv("leave", fine), 2)  # [N, 12, H, W]
        with _full_precision(x):
            picture = first.picture + in_type_of(first.picture, correction)
            return F.pixel_shuffle(expand(picture), 2)
