"""Networks with a separate kernel for every pixel."""

import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from torch import Tensor, nn

from tests.networks.weights import settled

__all__ = ["filter_adaptive", "involution", "kernel_prediction"]

PICTURE = (1, 3, 32, 32)


class Involution(nn.Module):
    """One kernel per pixel and channel group, shared by its channels. Source: [Involution]."""

    def __init__(self, channels: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.kernel, self.stride, self.width = kernel, stride, 4
        self.groups = channels // self.width
        self.reduce = nn.Sequential(
            nn.Conv2d(channels, channels // 4, 1), nn.BatchNorm2d(channels // 4), nn.ReLU()
        )
        self.span = nn.Conv2d(channels // 4, kernel * kernel * self.groups, 1)
        self.pool = nn.AvgPool2d(stride, stride) if stride > 1 else nn.Identity()
        self.windows = nn.Unfold(kernel, 1, (kernel - 1) // 2, stride)

    def forward(self, x: Tensor) -> Tensor:
        weight = self.span(self.reduce(self.pool(x)))
        n, _, height, width = weight.shape
        weight = weight.view(n, self.groups, self.kernel**2, height, width).unsqueeze(2)
        seen = self.windows(x).view(n, self.groups, self.width, self.kernel**2, height, width)
        return (weight * seen).sum(dim=3).view(n, -1, height, width)


class InvolutionNet(nn.Module):
    """A stem, an involution of stride 1, one of stride 2, and a classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, stride=2, padding=1)
        self.first, self.second = Involution(16, 5), Involution(16, 3, stride=2)
        self.norm = nn.BatchNorm2d(16)
        self.classes = nn.Linear(16, 10)

    def forward(self, image: Tensor) -> Tensor:
        y = F.relu(self.stem(image))
        y = F.relu(self.norm(self.first(y))) + y
        return self.classes(self.second(y).mean((2, 3)))


def involution() -> nn.Module:
    torch.manual_seed(0)
    return settled(InvolutionNet(), PICTURE)


class KernelPrediction(nn.Module):
    """A denoiser that applies to each pixel a predicted 5 x 5 kernel, normalised by softmax."""

    def __init__(self, kernel: int = 5) -> None:
        super().__init__()
        self.kernel = kernel
        self.body = nn.Sequential(
            nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 16, 3, padding=1), nn.ReLU()
        )
        self.head = nn.Conv2d(16, kernel * kernel, 1)

    def forward(self, noisy: Tensor) -> Tensor:
        n, c, height, width = noisy.shape
        weights = F.softmax(self.head(self.body(noisy)), dim=1)
        seen = F.unfold(noisy, self.kernel, padding=self.kernel // 2)
        seen = seen.view(n, c, self.kernel**2, height, width)
        return (seen * weights.unsqueeze(1)).sum(2)


def kernel_prediction() -> nn.Module:
    torch.manual_seed(0)
    return settled(KernelPrediction(), PICTURE)


class FilterAdaptive(nn.Module):
    """One kernel per pixel and channel, on a padded map, as in low-light enhancement ([LEDNet]).

    `Tensor.unfold`, applied twice, extracts the windows; a curve of predicted heights follows.
    """

    def __init__(self, channels: int = 8, kernel: int = 3) -> None:
        super().__init__()
        self.kernel = kernel
        self.enter = nn.Conv2d(3, channels, 3, padding=1)
        self.kernels = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.LeakyReLU(0.1),
            nn.Conv2d(channels, channels * kernel**2, 1),
        )
        self.heights = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(channels, channels, 1))
        self.leave = nn.Conv2d(channels, 3, 3, padding=1)

    def forward(self, dark: Tensor) -> Tensor:
        x = self.enter(dark)
        n, c, height, width = x.shape
        kernels = self.kernels(x).permute(0, 2, 3, 1).reshape(n, height, width, c, -1)
        around = self.kernel // 2
        padded = F.pad(x, (around, around, around, around), mode="replicate")
        seen = padded.unfold(2, self.kernel, 1).unfold(3, self.kernel, 1)
        seen = seen.permute(0, 2, 3, 1, 4, 5).reshape(n, height, width, c, -1)
        y = torch.sum(seen * kernels, -1).permute(0, 3, 1, 2)
        y = y + self.heights(y).sigmoid() * (y - y**2) * 0.1
        return torch.sigmoid(dark + self.leave(y))


def filter_adaptive() -> nn.Module:
    torch.manual_seed(0)
    return settled(FilterAdaptive(), PICTURE)
