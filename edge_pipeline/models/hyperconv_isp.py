"""A camera ISP with filters computed from the capture: packed Bayer in, linear RGB out."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from torch import Tensor, nn

from edge_pipeline.errors import InputError
from edge_pipeline.models.layers.bands import N_BANDS, BandGains, enlarged
from edge_pipeline.models.layers.basis_conv import BasisConv, in_type_of
from edge_pipeline.models.layers.coding import OFFSET, compress, expand
from edge_pipeline.models.layers.colour_shift import ColourShift
from edge_pipeline.models.layers.directional import DirectionalDemosaic
from edge_pipeline.models.layers.hyperconv import Filters
from edge_pipeline.models.layers.margin import without
from edge_pipeline.models.layers.noise_statistics import NoiseStatistics
from edge_pipeline.models.network import Port

__all__ = ["HyperConvIsp", "Options", "build"]

# The gain of the correction follows a Wiener filter for detail of this standard deviation; its
# lower limit is above zero.
_DETAIL, _MOST_GAIN, _LEAST_GAIN = 0.04, 2.0, 0.02
# Noise of variance a x + b^2 has, after coding, the deviation sqrt(a) / 2. The offset that makes it
# uniform, b^2 / a, is about this many times that deviation; the predictor scales it by 1/e to e.
_OFFSET_PER_NOISE = 0.75
# Detail is divided by the noise deviation plus this minimum and multiplied by this factor.
_LEAST_NOISE, _DETAIL_SCALE = 0.008, 0.25
# Measured shifts are up to about 0.3; this scales them to the range of the other inputs of `mix`.
_SHIFT_SCALE = 4.0
# The reach of the last stage, in packed pixels: the demosaicing's last filter, and the bands.
_LAST_REACH = 8


@dataclass(frozen=True)
class Options:
    """The network's sizes.

    Attributes:
        width: Channels at a quarter of the mosaic's resolution.
        coarse: Channels at the coarse level, an eighth of the mosaic's resolution.
        before: Number of blocks at a quarter of the resolution, before the coarse level.
        within: Number of blocks at the coarse level.
        after: Number of blocks at a quarter of the resolution, after the coarse level.
        n_basis: Number of coefficients that the predictor computes.
    """

    width: int = 64
    coarse: int = 144
    before: int = 2
    within: int = 3
    after: int = 2
    n_basis: int = 4

    def __post_init__(self) -> None:
        for name in ("width", "coarse", "before", "within", "after", "n_basis"):
            if getattr(self, name) < 1:
                raise InputError(f"{name}={getattr(self, name)} must be at least 1")


def build(options: Options) -> HyperConvIsp:
    """Return the network for `options`, with fresh weights from torch's generator."""
    return HyperConvIsp(options)


def _full_precision(x: Tensor) -> AbstractContextManager[object]:
    """Return a context that disables autocast; an empty one if autocast is off, as in an export."""
    device = x.device.type
    if not torch.amp.is_autocast_available(device) or not torch.is_autocast_enabled(device):
        return nullcontext()
    return torch.autocast(device, enabled=False)


class Block(nn.Module):
    """A residual block: x + narrow(relu(widen(depthwise(x)))); `widen` and `narrow` are pointwise.

    Args:
        channels: Number of input, hidden and output channels.
        n_basis: Number of coefficients; see BasisConv.
    """

    def __init__(self, channels: int, *, n_basis: int) -> None:
        super().__init__()
        self.around = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)
        self.widen = BasisConv(channels, channels, 1, n_basis=n_basis)
        self.narrow = BasisConv(channels, channels, 1, n_basis=n_basis, scale=0.3)
        with torch.no_grad():  # start near the identity
            nn.init.normal_(self.around.weight, std=0.1)
            self.around.weight[:, :, 1, 1] += 1
            nn.init.zeros_(self.around.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor, widen: Filters, narrow: Filters) -> Tensor:
        """Apply the block.

        Args:
            x: Feature maps [N, channels, H, W].
            widen: Filters of the first pointwise convolution.
            narrow: Filters of the second pointwise convolution.
        """
        result: Tensor = x + self.narrow(F.relu(self.widen(self.around(x), widen)), narrow)
        return result


class HyperConvIsp(nn.Module):
    """A network that demosaics along edges, then corrects with filters that fit the noise.

    A directional demosaicing without parameters makes a first picture. A UNet at a quarter and an
    eighth of the mosaic's resolution, where a convolution is cheapest, changes the gain of the
    picture's bands and adds a correction, in a coding that makes the capture's noise uniform.
    Its input detail is in units of the noise, so equal signal-to-noise ratios are treated alike at
    all sensitivities. The filters of its pointwise convolutions are mixtures of learnt filters. A
    filter predictor computes the mixture's coefficients from the capture, its measured noise, and
    the measured shift of red and blue against green. The last convolution's filters scale with the
    noise, so a clean capture is hardly corrected.

    Args:
        options: The network's sizes.

    Attributes:
        stride: Number of which height and width of the packed input must be multiples.
        min_size: Smallest height and width of the packed input.
        scale: Output pixels per packed pixel along an axis.
        halo: Distance, in packed pixels, up to which input pixels affect an output pixel if the
            filters are given.
        default_size: Packed height and width to compile for.
        free_sizes: Whether one graph supports all sizes.
        margin: Distance, in packed pixels, from the edges of the input up to which there is no
            output; 0 before `trim`.
        inputs: The packed capture.
        outputs: The picture.

    Source: [HyperConvISP] (filters predicted from the capture); arXiv 2601.00703 (work at reduced
    resolution); arXiv 2009.06205 (learn the residual of a strong classical method); Y. Wang et al.,
    Practical deep raw image denoising on mobile devices, ECCV 2020, section 3 (normalise by the
    noise).
    """

    stride = 4
    min_size = 20
    margin = 0
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
        self.shift = ColourShift()
        self.embed = nn.Sequential(
            nn.Conv2d(4, 24, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(24, 32, 3, padding=1, stride=2),
            nn.ReLU(),
            nn.Conv2d(32, 48, 3, padding=1, stride=2),
            nn.ReLU(),
        )
        self.mix = nn.Sequential(nn.Linear(2 * 48 + 2 * 4 + 2, 64), nn.ReLU(), nn.Linear(64, k + 1))
        # 4 x 4 packed pixels with stride 2: each filter covers 2 x 2 cells of 4 x 4 mosaic pixels.
        self.enter = nn.Conv2d(4 + 4 + 2 + 1, width, 4, stride=2, padding=1)
        self.down = nn.Conv2d(width, coarse, 2, stride=2)

        def several(n: int, channels: int) -> nn.ModuleList:
            return nn.ModuleList(Block(channels, n_basis=k) for _ in range(n))

        self.before = several(options.before, width)
        self.within = several(options.within, coarse)
        self.up = BasisConv(coarse, width, 1, n_basis=k)
        self.after = several(options.after, width)
        self.leave = BasisConv(width, 48 + 3 * N_BANDS, 1, n_basis=k, scale=0.01)
        self.gains = BandGains()
        for conv in (self.enter, self.down):
            nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
            nn.init.zeros_(conv.bias)  # type: ignore[arg-type]

    def trim(self) -> None:
        """Compute the last stage, from the corrections on, only where tiles keep the picture."""
        self.margin = (self.halo or 0) - _LAST_REACH
        self.min_size = 2 * self.margin + self.stride

    def forward(self, x: Tensor) -> Tensor:
        """Predict the filters of every sample and apply them.

        Args:
            x: Normalised packed Bayer [N, 4, H, W], about 0 to 1; H and W are multiples of 4 and
                at least 20.

        Returns:
            Linear camera RGB [N, 3, 2H, 2W], less `margin` at each edge.
        """
        return self.apply_filters(x, self.predict_filters(x))

    def predict_filters(self, x: Tensor) -> dict[str, Tensor]:
        """Return the filters, the offset of the coding and the scale of detail, by name.

        Args:
            x: Packed capture, as for `forward`.

        Returns:
            `LAYER.weight` [N, out, in, f, f], `LAYER.bias` [N, out], `coding.offset` [N] and
            `detail.scale` [N].
        """
        with _full_precision(x):
            z = compress(x)
            features = self.embed(z)  # [N, 48, H/4, W/4]
            noise = self.noise(z)  # two of [N, 4]
            pooled = (features.mean((2, 3)), features.amax((2, 3)), *map(torch.sqrt, noise))
            mixed = self.mix(torch.cat((*pooled, _SHIFT_SCALE * self.shift(z)), 1))
            coefficients, tuning = mixed[:, :-1], mixed[:, -1]
            deviation = noise.least.mean(1)  # [N]
            variance = deviation * deviation
            gain = _MOST_GAIN * variance / (variance + _DETAIL**2) + _LEAST_GAIN
            offset = (OFFSET + _OFFSET_PER_NOISE * deviation) * torch.exp(torch.tanh(tuning))
            scale = _DETAIL_SCALE / (deviation + _LEAST_NOISE)
            predicted = {"coding.offset": offset, "detail.scale": scale}
            for name, layer in self.named_modules():
                if isinstance(layer, BasisConv):
                    filters = layer.predict(coefficients)
                    if layer is self.leave:
                        filters = filters.scaled(gain[:, None])
                    predicted |= filters.named(name)
        return predicted

    def apply_filters(self, x: Tensor, filters: Mapping[str, Tensor]) -> Tensor:
        """Return the picture [N, 3, 2H, 2W], less `margin` at each edge, for given filters.

        Args:
            x: Packed capture, as for `forward`.
            filters: Output of `predict_filters` for N samples, or for one sample to use for all.
        """

        def of(name: str) -> Filters:
            return Filters.from_named(name, filters)

        def several(name: str, blocks: nn.ModuleList, y: Tensor) -> Tensor:
            for i, block in enumerate(blocks):
                y = block(y, of(f"{name}.{i}.widen"), of(f"{name}.{i}.narrow"))
            return y

        offset, scale = (
            filters[name][:, None, None, None] for name in ("coding.offset", "detail.scale")
        )
        with _full_precision(x):
            z = compress(x, offset)
            first = self.demosaic(z, self.margin)
            around = enlarged(F.avg_pool2d(z, 4), 4.0)
            detail = torch.cat([z - around, first.disagreement], 1) * scale
            seen = torch.cat([z, detail, first.share - 0.5], 1)
        # seen: [N, 11, H, W]; fine: [N, width, H/2, W/2]; coarse: [N, coarse, H/4, W/4]
        fine = several("before", self.before, self.enter(seen))
        coarse = several("within", self.within, self.down(fine))
        fine = fine + enlarged(self.up(coarse, of("up")))
        fine = several("after", self.after, fine)
        leaving = without(self.leave(fine, of("leave")), self.margin // 2)
        leaving = in_type_of(first.picture, leaving)
        with _full_precision(x):
            picture = self.gains(first.picture, leaving[:, 48:])
            picture = picture + F.pixel_shuffle(leaving[:, :48], 2)
            return F.pixel_shuffle(expand(picture, offset), 2)
