"""Convolutions whose kernel is a mixture of several kernels, with weights that the picture sets."""

import math

import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from torch import Tensor, nn

from tests.networks.weights import settled

__all__ = ["cond_conv", "dynamic", "odconv"]

PICTURE = (1, 3, 32, 32)


class CondConv(nn.Module):
    """Experts mixed by a sigmoid routing; samples become channel groups. Source: [CondConv]."""

    def __init__(
        self, n_in: int, n_out: int, kernel: int, stride: int = 1, groups: int = 1
    ) -> None:
        super().__init__()
        self.shape = (n_out, n_in // groups, kernel, kernel)
        self.stride, self.groups, self.pad = stride, groups, kernel // 2
        spread = math.sqrt(2 / (n_in // groups * kernel * kernel))
        self.experts = nn.Parameter(spread * torch.randn(4, math.prod(self.shape)))

    def forward(self, x: Tensor, routing: Tensor) -> Tensor:
        n, c, height, width = x.shape
        weight = (routing @ self.experts).view(n * self.shape[0], *self.shape[1:])
        y = F.conv2d(
            x.reshape(1, n * c, height, width),
            weight,
            stride=self.stride,
            padding=self.pad,
            groups=self.groups * n,
        )
        return y.view(n, self.shape[0], y.shape[2], y.shape[3])


class CondBlock(nn.Module):
    """An inverted residual block, as in MobileNet, whose three convolutions are mixtures."""

    def __init__(self, n_in: int, n_out: int, stride: int) -> None:
        super().__init__()
        hidden = 3 * n_in
        self.route = nn.Linear(n_in, 4)
        self.expand = CondConv(n_in, hidden, 1)
        self.depth = CondConv(hidden, hidden, 3, stride, groups=hidden)
        self.project = CondConv(hidden, n_out, 1)
        self.bn1, self.bn2 = nn.BatchNorm2d(hidden), nn.BatchNorm2d(hidden)
        self.bn3 = nn.BatchNorm2d(n_out)
        self.residual = stride == 1 and n_in == n_out

    def forward(self, x: Tensor) -> Tensor:
        pooled = F.adaptive_avg_pool2d(x, 1).flatten(1)
        routing = torch.sigmoid(self.route(pooled))
        y = F.silu(self.bn1(self.expand(x, routing)))
        y = F.silu(self.bn2(self.depth(y, routing)))
        y = self.bn3(self.project(y, routing))
        return x + y if self.residual else y


class CondNet(nn.Module):
    """A stem, two blocks and a classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.blocks = nn.Sequential(CondBlock(8, 8, 1), CondBlock(8, 16, 2))
        self.classes = nn.Linear(16, 10)

    def forward(self, image: Tensor) -> Tensor:
        y = self.blocks(F.silu(self.stem(image)))
        return self.classes(y.mean((2, 3)))


def cond_conv() -> nn.Module:
    torch.manual_seed(0)
    return settled(CondNet(), PICTURE)


class DynamicConv(nn.Module):
    """Attention with a temperature over kernels, each with its bias. Source: [DynamicConv]."""

    def __init__(self, n_in: int, n_out: int, stride: int = 1) -> None:
        super().__init__()
        self.n_out, self.stride = n_out, stride
        self.squeeze = nn.Conv2d(n_in, 4, 1, bias=False)
        self.excite = nn.Conv2d(4, 4, 1)
        self.weight = nn.Parameter(math.sqrt(2 / n_in / 9) * torch.randn(4, n_out, n_in, 3, 3))
        self.bias = nn.Parameter(0.1 * torch.randn(4, n_out))

    def forward(self, x: Tensor) -> Tensor:
        n, c, height, width = x.shape
        pooled = F.adaptive_avg_pool2d(x, 1)
        share = F.softmax(self.excite(F.relu(self.squeeze(pooled))).view(n, -1) / 2.0, dim=1)
        weight = torch.mm(share, self.weight.view(4, -1)).view(-1, c, 3, 3)
        bias = torch.mm(share, self.bias).view(-1)
        y = F.conv2d(x.view(1, -1, height, width), weight, bias, self.stride, padding=1, groups=n)
        return y.view(n, self.n_out, y.size(-2), y.size(-1))


class DynamicNet(nn.Module):
    """Three layers with normalisation and a skip connection; the output is a map."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = DynamicConv(3, 8), DynamicConv(8, 16, 2), DynamicConv(16, 16)
        self.na, self.nb, self.nc = (nn.BatchNorm2d(n) for n in (8, 16, 16))
        self.last = nn.Conv2d(16, 4, 1)

    def forward(self, image: Tensor) -> Tensor:
        y = F.relu(self.na(self.a(image)))
        y = F.relu(self.nb(self.b(y)))
        return self.last(y + F.relu(self.nc(self.c(y))))


def dynamic() -> nn.Module:
    torch.manual_seed(0)
    return settled(DynamicNet(), PICTURE)


class ODConv(nn.Module):
    """Attention along all four axes of a kernel, in tensors of six axes. Source: [ODConv]."""

    def __init__(
        self, n_in: int, n_out: int, kernel: int, stride: int = 1, groups: int = 1
    ) -> None:
        super().__init__()
        self.n_in, self.n_out, self.kernel = n_in, n_out, kernel
        self.stride, self.groups = stride, groups
        middle = max(n_in // 4, 4)
        fan = n_in // groups * kernel * kernel
        shape = (4, n_out, n_in // groups, kernel, kernel)
        self.weight = nn.Parameter(math.sqrt(2 / fan) * torch.randn(shape))
        self.squeeze = nn.Conv2d(n_in, middle, 1, bias=False)
        self.norm = nn.BatchNorm2d(middle)
        self.channel = nn.Conv2d(middle, n_in, 1)
        self.filter = nn.Conv2d(middle, n_out, 1)
        self.spatial = nn.Conv2d(middle, kernel * kernel, 1)
        self.number = nn.Conv2d(middle, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        n, c, height, width = x.shape
        seen = F.relu(self.norm(self.squeeze(F.adaptive_avg_pool2d(x, 1))))
        channel = torch.sigmoid(self.channel(seen).view(n, -1, 1, 1))
        filters = torch.sigmoid(self.filter(seen).view(n, -1, 1, 1))
        spatial = torch.sigmoid(self.spatial(seen).view(n, 1, 1, 1, self.kernel, self.kernel))
        number = F.softmax(self.number(seen).view(n, -1, 1, 1, 1, 1), dim=1)
        x = (x * channel).reshape(1, -1, height, width)
        kernels = spatial * number * self.weight.unsqueeze(0)
        weight = kernels.sum(1).view(-1, c // self.groups, self.kernel, self.kernel)
        y = F.conv2d(x, weight, None, self.stride, self.kernel // 2, groups=self.groups * n)
        return y.view(n, self.n_out, y.size(-2), y.size(-1)) * filters


class ODBlock(nn.Module):
    """An inverted residual block of ODConvs, as in MobileNetV2."""

    def __init__(self, n_in: int, n_out: int, stride: int) -> None:
        super().__init__()
        hidden = 4 * n_in
        self.convolutions = nn.Sequential(
            ODConv(n_in, hidden, 1),
            nn.BatchNorm2d(hidden),
            nn.ReLU6(),
            ODConv(hidden, hidden, 3, stride, groups=hidden),
            nn.BatchNorm2d(hidden),
            nn.ReLU6(),
            ODConv(hidden, n_out, 1),
            nn.BatchNorm2d(n_out),
        )
        self.residual = stride == 1 and n_in == n_out

    def forward(self, x: Tensor) -> Tensor:
        y = self.convolutions(x)
        return x + y if self.residual else y


class ODNet(nn.Module):
    """A stem, two blocks and a classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU6()
        )
        self.blocks = nn.Sequential(ODBlock(8, 8, 1), ODBlock(8, 16, 2))
        self.classes = nn.Linear(16, 10)

    def forward(self, image: Tensor) -> Tensor:
        return self.classes(self.blocks(self.stem(image)).mean([2, 3]))


def odconv() -> nn.Module:
    torch.manual_seed(0)
    return settled(ODNet(), PICTURE)
