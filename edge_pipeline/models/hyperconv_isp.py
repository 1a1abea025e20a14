"""A camera ISP whose filters are computed from the capture: packed Bayer in, linear RGB out."""

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
from edge_pipeline.models.layers.noise_statistics import NoiseStatistics
from edge_pipeline.models.network import Port

__all__ = ["HyperConvIsp", "Options", "build"]

# The correction's size follows Wiener's filter for detail of this deviation, and never vanishes.
_DETAIL, _MOST_GAIN, _LEAST_GAIN = 0.04, 2.0, 0.02
# Of noise of variance a x + b^2, the coded deviation is sqrt(a) / 2. The offset that evens it out,
# b^2 / a, is about this much times as large; the predictor changes it by a factor of at most e.
_OFFSET_PER_NOISE = 0.75
# Detail is seen in units of the noise, of at least this deviation, times this factor.
_LEAST_NOISE, _DETAIL_SCALE = 0.008, 0.25
# Measured shifts are up to about 0.3; the predictor sees them as large as its other inputs.
_SHIFT_SCALE = 4.0


@dataclass(frozen=True)
class Options:
    """The network's sizes.

    Attributes:
        width: channels at a quarter of the mosaic's resolution.
        coarse: channels at an eighth.
        before: blocks before the coarse level, at a quarter.
        within: blocks at the coarse level.
        after: blocks after it, at a quarter.
        n_basis: coefficients that the predictor computes.
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
    """The network for `options`, with fresh weights from torch's generator."""
    return HyperConvIsp(options)


def _full_precision(x: Tensor) -> AbstractContextManager[object]:
    """A context without autocast; nothing at all if autocast is off, as in an export."""
    device = x.device.type
    if not torch.amp.is_autocast_available(device) or not torch.is_autocast_enabled(device):
        return nullcontext()
    return torch.autocast(device, enabled=False)


class Block(nn.Module):
    """A residual block: x + narrow(relu(widen(depthwise(x)))), the latter two pointwise.

    Args:
        channels: in, out and between.
        n_basis: see BasisConv.
    """

    def __init__(self, channels: int, *, n_basis: int) -> None:
        super().__init__()
        self.around = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)
        self.widen = BasisConv(channels, channels, 1, n_basis=n_basis)
        self.narrow = BasisConv(channels, channels, 1, n_basis=n_basis, scale=0.3)
        with torch.no_grad():  # the pixel itself, and a little of its surroundings
            nn.init.normal_(self.around.weight, std=0.1)
            self.around.weight[:, :, 1, 1] += 1
            nn.init.zeros_(self.around.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor, widen: Filters, narrow: Filters) -> Tensor:
        """Apply the block.

        Args:
            x: [N, channels, H, W].
            widen: filters of the first pointwise convolution.
            narrow: filters of the second.
        """
        result: Tensor = x + self.narrow(F.relu(self.widen(self.around(x), widen)), narrow)
        return result


class HyperConvIsp(nn.Module):
    """Demosaic along edges, then correct with filters that suit the capture's noise.

    A parameter-free directional demosaicing gives a first picture. A UNet at a quarter and an
    eighth of the mosaic's resolution, where a convolution is cheapest, changes the gain of its
    bands and adds a correction, in a coding that evens out the capture's own noise. It sees detail
    in units of the noise, so that it treats equal ratios alike at all sensitivities. The filters of
    its pointwise convolutions are mixtures, whose coefficients a small network computes from the
    capture, its measured noise, and the measured shift of red and blue against green. The last
    convolution is scaled by the noise: a clean capture is hardly corrected.

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

    Source: papers/002 (filters predicted from the capture); arXiv 2601.00703 (work at reduced
    resolution); arXiv 2009.06205 (learn the residual of a strong classical method); Y. Wang et al.,
    Practical deep raw image denoising on mobile devices, ECCV 2020, section 3 (normalise by the
    noise).
    """

    stride = 4
    min_size = 20
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
        # A filter of 4 x 4 packed pixels, every second one: 2 x 2 cells of 4 x 4 mosaic pixels.
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

    def forward(self, x: Tensor) -> Tensor:
        """Predict the filters of every sample and apply them.

        Args:
            x: [N, 4, H, W], normalised packed Bayer, about 0..1; H and W multiples of 4 and at
                least 20.

        Returns:
            [N, 3, 2H, 2W], linear camera RGB.
        """
        return self.apply_filters(x, self.predict_filters(x))

    def predict_filters(self, x: Tensor) -> dict[str, Tensor]:
        """The filters by name, the coding's offset and the scale of detail.

        Args:
            x: as for forward.

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
        """The picture, with given filters.

        Args:
            x: as for forward.
            filters: as predict_filters gives them, for as many samples, or one set for all.
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
            first = self.demosaic(z)
            around = enlarged(F.avg_pool2d(z, 4), 4.0)
            detail = torch.cat([z - around, first.disagreement], 1) * scale
            seen = torch.cat([z, detail, first.share - 0.5], 1)
        # seen: [N, 11, H, W]; fine: [N, width, H/2, W/2]; coarse: [N, coarse, H/4, W/4]
        fine = several("before", self.before, self.enter(seen))
        coarse = several("within", self.within, self.down(fine))
        fine = fine + enlarged(self.up(coarse, of("up")))
        fine = several("after", self.after, fine)
        leaving = in_type_of(first.picture, self.leave(fine, of("leave")))
        with _full_precision(x):
            picture = self.gains(first.picture, leaving[:, 48:])
            picture = picture + F.pixel_shuffle(leaving[:, :48], 2)
            return F.pixel_shuffle(expand(picture, offset), 2)
