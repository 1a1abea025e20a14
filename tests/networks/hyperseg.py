"""A segmentation network whose decoder has separate weights for each patch ([HyperSeg]).

Its structure is that of HyperSeg-M: a backbone of five levels, a context head that predicts one
signal per patch, and a decoder that omits the finest level. It has fewer channels.
"""

import itertools

import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from torch import Tensor, nn

from tests.networks.weights import settled

__all__ = ["hyperseg_m"]

CLASSES = 6
BACKBONE = (8, 12, 16, 24, 32)
REDUCED = (4, 6, 8, 8)
LEVELS = (8, 8, 8, 8)


class Inverted(nn.Module):
    """A block of the backbone, as in EfficientNet, with squeeze and excitation."""

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        hidden = 2 * n_in
        self.expand = nn.Sequential(
            nn.Conv2d(n_in, hidden, 1, bias=False), nn.BatchNorm2d(hidden), nn.SiLU()
        )
        self.depth = nn.Sequential(
            nn.Conv2d(hidden, hidden, 3, 2, 1, groups=hidden, bias=False),
            nn.BatchNorm2d(hidden),
            nn.SiLU(),
        )
        self.squeeze, self.excite = nn.Conv2d(hidden, 4, 1), nn.Conv2d(4, hidden, 1)
        self.project = nn.Sequential(nn.Conv2d(hidden, n_out, 1, bias=False), nn.BatchNorm2d(n_out))

    def forward(self, x: Tensor) -> Tensor:
        y = self.depth(self.expand(x))
        share = self.excite(F.silu(self.squeeze(F.adaptive_avg_pool2d(y, 1))))
        return self.project(y * torch.sigmoid(share))


class ContextHead(nn.Module):
    """A nested UNet of 2 x 2 convolutions with stride 2; the coarsest map is pooled."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.down = nn.Sequential(
            nn.Conv2d(channels, channels // 2, 2, 2), nn.BatchNorm2d(channels // 2), nn.ReLU()
        )
        self.flat = nn.Sequential(nn.Conv2d(channels // 2, channels // 2, 1), nn.ReLU())
        self.inner = nn.Sequential(nn.Conv2d(channels, channels // 2, 1), nn.ReLU())
        self.outer = nn.Sequential(nn.Conv2d(3 * channels // 2, channels, 1), nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        small = self.down(x)
        whole = self.flat(F.adaptive_avg_pool2d(small, 1))
        whole = F.interpolate(whole, size=small.shape[-2:], mode="nearest")
        up = F.interpolate(self.inner(torch.cat([small, whole], 1)), scale_factor=2, mode="nearest")
        return self.outer(torch.cat([x, up], 1))


class PatchConv(nn.Module):
    """A convolution of patches, each with its own weights, as one grouped convolution."""

    def __init__(self, n_in: int, n_out: int, kernel: int = 1, groups: int = 1) -> None:
        super().__init__()
        self.n_in, self.n_out, self.kernel, self.groups = n_in, n_out, kernel, groups
        self.size = n_out * (n_in // groups) * kernel**2

    def forward(self, patches: Tensor, weights: Tensor) -> Tensor:
        b, c, height, width = patches.shape
        kernel = weights.reshape(b * self.n_out, c // self.groups, self.kernel, self.kernel)
        y = F.conv2d(patches.reshape(1, b * c, height, width), kernel, groups=b * self.groups)
        return y.view(b, self.n_out, y.shape[2], y.shape[3])


class MetaBlock(nn.Module):
    """Pointwise, depthwise and pointwise convolutions; only the first one if patches are small."""

    def __init__(self, n_in: int, n_out: int, signal: int, *, whole: bool) -> None:
        super().__init__()
        hidden = 2 * n_in if whole else n_out
        self.whole = whole
        self.first = PatchConv(n_in, hidden)
        self.depth = PatchConv(hidden, hidden, 3, groups=hidden)
        self.last = PatchConv(hidden, n_out)
        parts = (self.first, self.depth, self.last) if whole else (self.first,)
        self.sizes = [part.size for part in parts]
        groups = 2
        self.mapper = nn.Conv2d(signal, -(-sum(self.sizes) // groups) * groups, 1, groups=groups)
        self.norm1, self.norm2 = nn.BatchNorm2d(hidden), nn.BatchNorm2d(hidden)
        self.norm3 = nn.BatchNorm2d(n_out)

    def forward(self, x: Tensor, signal: Tensor) -> Tensor:
        n, c, height, width = x.shape
        rows, columns = signal.shape[-2:]
        tall, wide = height // rows, width // columns
        weights = self.mapper(signal).permute(0, 2, 3, 1).reshape(n * rows * columns, -1)
        halo = 1 if self.whole else 0
        if halo:
            x = F.pad(x, (halo, halo, halo, halo), mode="reflect")
        x = x.unfold(2, tall + 2 * halo, tall).unfold(3, wide + 2 * halo, wide)
        x = x.permute(0, 2, 3, 1, 4, 5).reshape(-1, c, tall + 2 * halo, wide + 2 * halo)
        end = self.sizes[0]
        y = F.relu6(self.norm1(self.first(x, weights[:, :end])))
        if self.whole:
            y = F.relu6(self.norm2(self.depth(y, weights[:, end : end + self.sizes[1]])))
            start = end + self.sizes[1]
            y = self.norm3(self.last(y, weights[:, start : start + self.sizes[2]]))
        y = y.view(n, rows, columns, -1, tall, wide).permute(0, 3, 1, 4, 2, 5)
        return y.reshape(n, -1, height, width)


def positions(x: Tensor) -> Tensor:
    """Return the fixed positional encoding [N, 2, H, W], from -1 to 1."""
    height, width = x.shape[-2:]
    rows = torch.linspace(-1, 1, steps=height, device=x.device)
    columns = torch.linspace(-1, 1, steps=width, device=x.device)
    grid = torch.stack(torch.meshgrid(columns, rows, indexing="xy"), dim=0)
    return grid.unsqueeze(0).repeat(x.shape[0], 1, 1, 1)


class HyperSeg(nn.Module):
    """The whole network: backbone, context head and decoder."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, BACKBONE[0], 3, 2, 1, bias=False), nn.BatchNorm2d(BACKBONE[0]), nn.SiLU()
        )
        self.backbone = nn.ModuleList(Inverted(a, b) for a, b in itertools.pairwise(BACKBONE))
        self.reduce = nn.ModuleList(
            nn.Sequential(nn.Conv2d(a, b, 1, bias=False), nn.BatchNorm2d(b), nn.ReLU())
            for a, b in zip(BACKBONE, REDUCED, strict=False)
        )
        self.head = ContextHead(BACKBONE[-1])
        share = BACKBONE[-1] // 4
        coarse = [BACKBONE[-1], *reversed(LEVELS[1:])]
        skips = [0, *reversed(REDUCED[1:])]
        self.blocks = nn.ModuleList(
            MetaBlock(a + b + 2, c, share, whole=i > 1)
            for i, (a, b, c) in enumerate(zip(coarse, skips, reversed(LEVELS), strict=True))
        )
        self.leave = nn.Conv2d(LEVELS[0], CLASSES, 1)

    def forward(self, image: Tensor) -> Tensor:
        maps = [self.stem(image)]
        for block in self.backbone:
            maps.append(block(maps[-1]))
        signals = self.head(maps[-1]).chunk(4, dim=1)
        skips = [reduce(x) for reduce, x in zip(self.reduce, maps, strict=False)]
        y = maps[-1]
        for i, (block, signal) in enumerate(zip(self.blocks, signals, strict=True)):
            if i:
                skip = skips[-i]
                y = F.interpolate(y, size=skip.shape[-2:], mode="bilinear", align_corners=False)
                y = torch.cat([skip, y], dim=1)
            y = block(torch.cat([positions(y), y], dim=1), signal)
        y = self.leave(y)
        return F.interpolate(y, size=image.shape[-2:], mode="bilinear", align_corners=False)


def hyperseg_m() -> nn.Module:
    torch.manual_seed(0)
    return settled(HyperSeg(), (1, 3, 64, 128))
