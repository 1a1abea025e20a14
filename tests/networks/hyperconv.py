"""The modules of the appendix of [HyperConvISP], with the operators that are printed there.

Tables 5, 6 and 7, restated: two inputs in one list, pooling by `AdaptiveMaxPool2d`, samples as
channel groups. Terms added after the brackets in Table 6 are added to the layer's output.
"""

import math

import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from torch import Tensor, nn

from tests.networks.weights import settled

__all__ = ["drop_in", "hyper_unet", "low_rank"]

EPSILON = 1e-12


def _perceptron(n_in: int, hidden: int, n_out: int, active: type[nn.Module]) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(n_in, hidden),
        active(),
        nn.Linear(hidden, hidden),
        active(),
        nn.Linear(hidden, n_out),
    )


class HyperConv(nn.Module):
    """The module of Table 5: convolves its second input with filters predicted from the first."""

    def __init__(
        self,
        n_in: int,
        n_hyper: int,
        n_out: int,
        n_hid: int,
        *,
        bias: bool = True,
        gain: bool = False,
        decompose: int = 0,
    ) -> None:
        super().__init__()
        self.n_in, self.n_hyper, self.n_out, self.decompose = n_in, n_hyper, n_out, decompose
        self.pool, self.pad = nn.AdaptiveMaxPool2d(1), nn.ReflectionPad2d(1)
        if decompose < 1:
            self.outf = _perceptron(n_hyper, n_hid, 9 * n_in * n_out, nn.ReLU)
        else:
            self.outf1 = _perceptron(n_hyper, n_hid, 9 * n_out * decompose, nn.ReLU)
            self.outf2 = _perceptron(n_hyper, n_hid, 9 * n_in * decompose, nn.ReLU)
        self.bias = nn.Sequential(nn.Linear(n_hyper, n_out)) if bias else None
        self.gain = nn.Sequential(nn.Linear(n_hyper, n_out)) if gain else None
        spread = 1 / math.sqrt(n_in * 9 / 2) / 2
        self.const_f = nn.Parameter(spread * torch.randn(1, n_out, n_in, 3, 3))
        self.norm = math.sqrt(n_in * math.pi / 9)

    def _filters(self, pooled: Tensor) -> Tensor:
        if not self.decompose:
            return self.outf(pooled.view(-1, self.n_hyper))
        left = self.outf1(pooled.view(-1, self.n_hyper))
        right = self.outf2(pooled.view(-1, self.n_hyper))
        left = left.view(-1, self.n_out, 1, 3, 3, self.decompose)
        right = right.view(-1, 1, self.n_in, 3, 3, self.decompose)
        return (left * right).mean(5)

    def forward(self, x: list[Tensor]) -> Tensor:
        seen, forward = x
        pooled = self.pool(seen)
        f = self._filters(pooled) / self.norm
        f = f.view(-1, self.n_out, self.n_in, 3, 3).contiguous()
        f = f / (f.abs().sum([3, 4], keepdims=True) + EPSILON) / 2 + self.const_f
        forward = self.pad(forward)
        n, _, height, width = forward.size()
        y = F.conv2d(
            forward.view(1, n * self.n_in, height, width),
            f.view(n * self.n_out, self.n_in, 3, 3),
            groups=n,
        )
        y = y.view(n, self.n_out, y.size(2), y.size(3))
        if self.bias is not None:
            b = torch.clamp(self.bias(pooled.view(-1, self.n_hyper)), -0.1, 0.1)
            y = y + b.view(n, self.n_out, 1, 1)
        if self.gain is not None:
            g = torch.clamp(self.gain(pooled.view(-1, self.n_hyper)), -0.9, 0.1) + 1.0
            y = y * g.view(n, self.n_out, 1, 1)
        return y


def _embedding(*steps: tuple[int, int, int, int]) -> nn.Sequential:
    """Return convolutions (in, out, stride, pooling), with pooling and GELU if pooling is not 0."""
    layers: list[nn.Module] = []
    for n_in, n_out, stride, pooling in steps:
        layers.append(nn.Conv2d(n_in, n_out, 3, padding=1, stride=stride))
        if pooling:
            layers += [nn.MaxPool2d(pooling, pooling), nn.GELU()]
    return nn.Sequential(*layers)


class HyperUNet(nn.Module):
    """The UNet of Table 6."""

    def __init__(self, n_input: int = 4, n_fwd: int = 4, e: int = 4, n_hid: int = 8) -> None:
        super().__init__()
        h, k, half = n_fwd // 2, e * 16, n_hid // 2
        self.embed = _embedding(
            (n_input, e, 1, 2),
            (e, e * 2, 1, 2),
            (e * 2, e * 4, 1, 2),
            (e * 4, e * 8, 1, 4),
            (e * 8, k, 1, 0),
        )
        self.embed2 = _embedding(
            (n_fwd, e, 2, 2), (e, e * 2, 1, 2), (e * 2, e * 4, 1, 4), (e * 4, e * 8, 1, 0)
        )
        self.embed4 = _embedding((h, e // 2, 1, 2), (e // 2, e * 2, 1, 4), (e * 2, e * 4, 1, 0))
        self.embed8 = _embedding((h, e // 2, 1, 4), (e // 2, e * 2, 1, 0))
        self.conv0 = HyperConv(n_input, k, n_fwd, n_hid)
        self.conv1 = HyperConv(n_fwd, k, n_fwd, n_hid)
        self.conv2 = HyperConv(n_fwd, k, n_fwd, n_hid)
        self.conv4 = HyperConv(n_fwd, k, 3, n_hid)
        self.conv1_2 = HyperConv(n_fwd, e * 8, h, half)
        self.conv2_2 = HyperConv(h, e * 8, n_fwd, half)
        self.conv1_4, self.conv2_4 = (HyperConv(h, e * 4, h, half) for _ in range(2))
        self.conv1_8, self.conv2_8 = (HyperConv(h, e * 2, h, half) for _ in range(2))
        self.conv1_16 = HyperConv(h, e * 2, h, half)
        self.pool = nn.MaxPool2d(2, 2)
        self.scale = nn.Upsample(scale_factor=2.0, mode="bilinear", align_corners=True)

    def forward(self, x: Tensor) -> Tensor:
        e = self.embed(x)
        y0 = torch.clamp(self.conv0([e, x]), 0, 1)
        y0 = torch.clamp(self.conv1([e, y0]) + y0, 0, 1)
        y2 = self.pool(y0)
        e2 = self.embed2(y0)
        y2 = F.gelu(self.conv1_2([e2, y2]))
        y4 = self.pool(y2)
        e4 = self.embed4(y4)
        y4 = F.gelu(self.conv1_4([e4, y4]))
        y8 = self.pool(y4)
        e8 = self.embed8(y8)
        y8 = F.gelu(self.conv1_8([e8, y8]))
        y16 = F.gelu(self.conv1_16([e8, self.pool(y8)]))
        y8 = F.gelu(self.conv2_8([e8, y8 + self.scale(y16 * 0.25)]) + y8)
        y4 = F.gelu(self.conv2_4([e4, y4 + self.scale(y8 * 0.25)]) + y4)
        y2 = F.gelu(self.conv2_2([e2, y2 + self.scale(y4 * 0.25)]) + y2.mean(1).unsqueeze(1))
        y = F.gelu(self.conv2([e, y0 + self.scale(y2 * 0.25)]) + y0)
        y = self.scale(y + x.mean(1).unsqueeze(1))
        return torch.sigmoid(self.conv4([e, y]))


def hyper_unet() -> nn.Module:
    torch.manual_seed(0)
    return settled(HyperUNet(), (1, 4, 64, 64))


class HyperConvEmbed(nn.Module):
    """The drop-in layer of Table 7, with its own embedding."""

    def __init__(self, n_in: int, n_out: int, n_hid: int = 8, base: int = 8) -> None:
        super().__init__()
        self.n_in, self.n_out, self.n_hyper = n_in, n_out, base * 4
        self.pool, self.pad = nn.AdaptiveAvgPool2d(1), nn.ReflectionPad2d(1)
        self.embed = nn.Sequential(
            nn.Conv2d(n_in, base, 3, padding=1, stride=2),
            nn.ReLU(),
            nn.Conv2d(base, base * 2, 3, padding=1, stride=2),
            nn.ReLU(),
            nn.Conv2d(base * 2, base * 4, 3, padding=1, stride=2),
        )
        self.outf = _perceptron(self.n_hyper, n_hid, 9 * n_in * n_out, nn.LeakyReLU)
        self.bias = nn.Sequential(nn.Linear(self.n_hyper, n_out))
        self.gain = nn.Sequential(nn.Linear(self.n_hyper, n_out))
        spread = 1 / math.sqrt(n_in * 9 / 2) / 2
        self.const_f = nn.Parameter(spread * torch.randn(1, n_out, n_in, 3, 3))
        self.norm = math.sqrt(n_in * math.pi / 9)

    def forward(self, x: Tensor) -> Tensor:
        f = self.pool(self.embed(x))
        b = torch.clamp(self.bias(f.view(-1, self.n_hyper)), -0.1, 0.1)
        g = torch.clamp(self.gain(f.view(-1, self.n_hyper)), -0.9, 0.1) + 1.0
        f = self.outf(f.view(-1, self.n_hyper)) / self.norm
        forward = self.pad(x)
        n, _, height, width = forward.size()
        if n != 1:
            f = f.view(-1, self.n_out, self.n_in, 3, 3)
            f = f / (f.abs().sum((3, 4), keepdim=True) + EPSILON) / 2 + self.const_f
            y = F.conv2d(
                forward.view(1, n * self.n_in, height, width),
                f.view(n * self.n_out, self.n_in, 3, 3),
                groups=n,
            )
        else:
            f = f.view(self.n_out, self.n_in, 3, 3)
            f = f / (f.abs().sum((2, 3), keepdim=True) + EPSILON) / 2 + self.const_f.squeeze(0)
            y = F.conv2d(forward, f)
        y = y.view(n, self.n_out, y.size(2), y.size(3))
        return (y + b.view(n, self.n_out, 1, 1)) * g.view(n, self.n_out, 1, 1)


def drop_in() -> nn.Module:
    """Return a denoiser with two drop-in layers in place of convolutions."""
    torch.manual_seed(0)
    network = nn.Sequential(
        HyperConvEmbed(3, 8),
        nn.LeakyReLU(0.2),
        HyperConvEmbed(8, 8),
        nn.LeakyReLU(0.2),
        nn.Conv2d(8, 3, 3, padding=1),
    )
    return settled(network, (1, 3, 32, 32))


class LowRank(nn.Module):
    """A network with a HyperConv of Table 5 that has rank-3 filters and a gain."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Conv2d(3, 8, 3, stride=4, padding=1)
        self.conv = HyperConv(3, 8, 6, 8, gain=True, decompose=3)
        self.leave = nn.Conv2d(6, 3, 1)

    def forward(self, image: Tensor) -> Tensor:
        return self.leave(F.gelu(self.conv([F.gelu(self.embed(image)), image])))


def low_rank() -> nn.Module:
    torch.manual_seed(0)
    return settled(LowRank(), (1, 3, 32, 32))
