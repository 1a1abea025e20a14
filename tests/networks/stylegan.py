"""Generators whose kernels are modulated by a style and demodulated."""

import math

import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from torch import Tensor, nn

from tests.networks.weights import settled

__all__ = ["face_decoder", "generator"]


class EqualLinear(nn.Module):
    """A linear layer whose weights are scaled at run time."""

    def __init__(self, n_in: int, n_out: int, start: float = 0.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(n_out, n_in))
        self.bias = nn.Parameter(torch.full((n_out,), start))
        self.scale = 1 / math.sqrt(n_in)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight * self.scale, self.bias)


class ModulatedConv(nn.Module):
    """A modulated, demodulated convolution; it upsamples by a transposed convolution and a blur."""

    def __init__(
        self,
        n_in: int,
        n_out: int,
        kernel: int,
        style: int,
        *,
        up: bool = False,
        demod: bool = True,
    ) -> None:
        super().__init__()
        self.n_out, self.kernel, self.up, self.demod = n_out, kernel, up, demod
        self.weight = nn.Parameter(torch.randn(1, n_out, n_in, kernel, kernel))
        self.scale = 1 / math.sqrt(n_in * kernel**2)
        self.modulation = EqualLinear(style, n_in, start=1.0)
        taps = torch.tensor([1.0, 3.0, 3.0, 1.0])
        self.register_buffer("blur", 4 * torch.outer(taps, taps)[None, None] / 64)

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        n, c, height, width = x.shape
        k = self.kernel
        weight = self.scale * self.weight * self.modulation(style).view(n, 1, c, 1, 1)
        if self.demod:
            rate = torch.rsqrt(weight.pow(2).sum([2, 3, 4]) + 1e-8)
            weight = weight * rate.view(n, self.n_out, 1, 1, 1)
        x = x.view(1, n * c, height, width)
        if not self.up:
            weight = weight.view(n * self.n_out, c, k, k)
            y = F.conv2d(x, weight, padding=k // 2, groups=n)
            return y.view(n, self.n_out, height, width)
        weight = weight.transpose(1, 2).reshape(n * c, self.n_out, k, k)
        y = F.conv_transpose2d(x, weight, padding=0, stride=2, groups=n)
        y = y.reshape(n * self.n_out, 1, y.shape[2], y.shape[3])
        y = F.conv2d(F.pad(y, (1, 1, 1, 1)), self.blur)
        return y.view(n, self.n_out, y.shape[2], y.shape[3])


class StyledConv(nn.Module):
    """A modulated convolution, the layer's constant noise, and a scaled leaky ReLU."""

    def __init__(self, n_in: int, n_out: int, style: int, side: int, *, up: bool = False) -> None:
        super().__init__()
        self.conv = ModulatedConv(n_in, n_out, 3, style, up=up)
        self.register_buffer("noise", torch.randn(1, 1, side, side))
        self.strength = nn.Parameter(torch.full((1,), 0.1))
        self.bias = nn.Parameter(0.1 * torch.randn(1, n_out, 1, 1))

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        y = self.conv(x, style) + self.strength * self.noise + self.bias
        return F.leaky_relu(y, 0.2) * math.sqrt(2)


class Generator(nn.Module):
    """A generator from a latent vector to pictures of 16 x 16. Source: [StyleGAN2]."""

    def __init__(self, style: int = 16, channels: int = 12) -> None:
        super().__init__()
        self.mapping = nn.Sequential(
            EqualLinear(style, style), nn.LeakyReLU(0.2), EqualLinear(style, style)
        )
        self.constant = nn.Parameter(torch.randn(1, channels, 4, 4))
        self.first = StyledConv(channels, channels, style, 4)
        self.first_rgb = ModulatedConv(channels, 3, 1, style, demod=False)
        self.ups = nn.ModuleList(
            StyledConv(channels, channels, style, side, up=True) for side in (8, 16)
        )
        self.plains = nn.ModuleList(StyledConv(channels, channels, style, s) for s in (8, 16))
        self.rgbs = nn.ModuleList(
            ModulatedConv(channels, 3, 1, style, demod=False) for _ in range(2)
        )

    def forward(self, latent: Tensor) -> Tensor:
        latent = latent * torch.rsqrt(latent.pow(2).mean(1, keepdim=True) + 1e-8)
        style = self.mapping(latent)
        y = self.first(self.constant.repeat(latent.shape[0], 1, 1, 1), style)
        picture = self.first_rgb(y, style)
        for up, plain, rgb in zip(self.ups, self.plains, self.rgbs, strict=True):
            y = plain(up(y, style), style)
            larger = F.interpolate(picture, scale_factor=2, mode="bilinear", align_corners=False)
            picture = larger + rgb(y, style)
        return picture


def generator() -> nn.Module:
    torch.manual_seed(0)
    return Generator().eval()


class ResizedConv(nn.Module):
    """A modulated convolution of a map that may first be upsampled by interpolation."""

    def __init__(self, n_in: int, n_out: int, kernel: int, style: int, *, up: bool, demod: bool):
        super().__init__()
        self.n_out, self.kernel, self.up, self.demod = n_out, kernel, up, demod
        self.modulation = nn.Linear(style, n_in)
        nn.init.ones_(self.modulation.bias)
        spread = math.sqrt(1 / (n_in * kernel**2))
        self.weight = nn.Parameter(spread * torch.randn(1, n_out, n_in, kernel, kernel))

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        n, c = x.shape[:2]
        weight = self.weight * self.modulation(style).view(n, 1, c, 1, 1)
        if self.demod:
            rate = torch.rsqrt(weight.pow(2).sum([2, 3, 4]) + 1e-8)
            weight = weight * rate.view(n, self.n_out, 1, 1, 1)
        weight = weight.view(n * self.n_out, c, self.kernel, self.kernel)
        if self.up:
            x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
        _, _, height, width = x.shape
        y = F.conv2d(x.view(1, n * c, height, width), weight, padding=self.kernel // 2, groups=n)
        return y.view(n, self.n_out, y.shape[2], y.shape[3])


class FaceDecoder(nn.Module):
    """A network that restores faces.

    An encoder computes the style of a decoder of modulated convolutions, and maps that scale and
    shift half of the decoder's channels. Source: [GFPGAN].
    """

    def __init__(self, channels: int = 12, style: int = 16) -> None:
        super().__init__()
        c = channels
        self.enter = nn.Conv2d(3, c, 1)
        self.downs = nn.ModuleList(nn.Conv2d(c, c, 3, padding=1) for _ in range(2))
        self.to_style = nn.Linear(c * 8 * 8, style)
        self.scales = nn.ModuleList(_condition(c, c // 2) for _ in range(2))
        self.shifts = nn.ModuleList(_condition(c, c // 2) for _ in range(2))
        self.constant = nn.Parameter(torch.randn(1, c, 8, 8))
        self.first = ResizedConv(c, c, 3, style, up=False, demod=True)
        self.first_rgb = ResizedConv(c, 3, 1, style, up=False, demod=False)
        self.ups = nn.ModuleList(ResizedConv(c, c, 3, style, up=True, demod=True) for _ in range(2))
        self.rgbs = nn.ModuleList(
            ResizedConv(c, 3, 1, style, up=False, demod=False) for _ in range(2)
        )

    def forward(self, face: Tensor) -> Tensor:
        y, seen = F.leaky_relu(self.enter(face), 0.2), []
        for down in self.downs:
            seen.insert(0, y)
            y = F.interpolate(y, scale_factor=0.5, mode="bilinear", align_corners=False)
            y = F.leaky_relu(down(y), 0.2)
        style = self.to_style(y.view(y.size(0), -1))
        z = F.leaky_relu(self.first(self.constant.repeat(y.size(0), 1, 1, 1) + y, style), 0.2)
        picture = self.first_rgb(z, style)
        for i, (up, rgb) in enumerate(zip(self.ups, self.rgbs, strict=True)):
            z = F.leaky_relu(up(z, style), 0.2) * math.sqrt(2)
            same, changed = torch.split(z, z.size(1) // 2, dim=1)
            changed = changed * self.scales[i](seen[i]) + self.shifts[i](seen[i])
            z = torch.cat([same, changed], dim=1)
            larger = F.interpolate(picture, scale_factor=2, mode="bilinear", align_corners=False)
            picture = rgb(z, style) + larger
        return picture


def _condition(n_in: int, n_out: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(n_in, n_in, 3, padding=1), nn.LeakyReLU(0.2), nn.Conv2d(n_in, n_out, 3, padding=1)
    )


def face_decoder() -> nn.Module:
    torch.manual_seed(0)
    return settled(FaceDecoder(), (1, 3, 32, 32))
