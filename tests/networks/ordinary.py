"""Networks with constant weights, for which compilation must not be worse than plain export."""

import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from torch import Tensor, nn

from tests.networks.weights import settled

__all__ = ["deeplab", "perceptron", "tokens", "unet"]


def _pair(n_in: int, n_out: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(n_in, n_out, 3, padding=1, bias=False),
        nn.BatchNorm2d(n_out),
        nn.ReLU(),
        nn.Conv2d(n_out, n_out, 3, padding=1, bias=False),
        nn.BatchNorm2d(n_out),
        nn.ReLU(),
    )


class UNet(nn.Module):
    """A UNet of three levels with transposed convolutions in the decoder."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        w = width
        self.a, self.b, self.c = _pair(3, w), _pair(w, 2 * w), _pair(2 * w, 4 * w)
        self.up_b = nn.ConvTranspose2d(4 * w, 2 * w, 2, stride=2)
        self.up_a = nn.ConvTranspose2d(2 * w, w, 2, stride=2)
        self.d, self.e = _pair(4 * w, 2 * w), _pair(2 * w, w)
        self.leave = nn.Conv2d(w, 2, 1)

    def forward(self, image: Tensor) -> Tensor:
        a = self.a(image)
        b = self.b(F.max_pool2d(a, 2))
        c = self.c(F.max_pool2d(b, 2))
        d = self.d(torch.cat([b, self.up_b(c)], 1))
        return self.leave(self.e(torch.cat([a, self.up_a(d)], 1)))


def unet() -> nn.Module:
    torch.manual_seed(0)
    return settled(UNet(), (1, 3, 32, 32))


class DeepLab(nn.Module):
    """Parallel dilated convolutions, pooled context, and resizing with aligned corners."""

    def __init__(self, width: int = 12) -> None:
        super().__init__()
        w = width
        self.stem = nn.Sequential(
            nn.Conv2d(3, w, 3, 2, 1, bias=False), nn.BatchNorm2d(w), nn.ReLU()
        )
        self.deep = nn.Sequential(
            nn.Conv2d(w, 2 * w, 3, 2, 1, bias=False), nn.BatchNorm2d(2 * w), nn.ReLU()
        )
        self.rates = nn.ModuleList(
            nn.Conv2d(2 * w, w, 3, padding=rate, dilation=rate) for rate in (1, 2, 4)
        )
        self.pooled = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(2 * w, w, 1), nn.ReLU())
        self.join = nn.Conv2d(4 * w, w, 1)
        self.leave = nn.Conv2d(2 * w, 5, 3, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        low = self.stem(image)
        x = self.deep(low)
        seen = [F.relu(rate(x)) for rate in self.rates]
        whole = F.interpolate(self.pooled(x), size=x.shape[2:], mode="bilinear", align_corners=True)
        y = F.relu(self.join(torch.cat([*seen, whole], 1)))
        y = F.interpolate(y, size=low.shape[2:], mode="bilinear", align_corners=True)
        y = self.leave(torch.cat([y, low], 1))
        return F.interpolate(y, size=image.shape[2:], mode="bilinear", align_corners=True)


def deeplab() -> nn.Module:
    torch.manual_seed(0)
    return settled(DeepLab(), (1, 3, 33, 33))


def perceptron() -> nn.Module:
    """Return a classifier of vectors."""
    torch.manual_seed(0)
    return settled(
        nn.Sequential(
            nn.Linear(20, 32),
            nn.BatchNorm1d(32),
            nn.ReLU(),
            nn.Linear(32, 32),
            nn.GELU(),
            nn.Linear(32, 5),
            nn.Softmax(-1),
        ),
        (1, 20),
    )


def tokens() -> nn.Module:
    """Return a transformer layer on a sequence of vectors."""
    torch.manual_seed(0)
    return settled(nn.TransformerEncoderLayer(16, 2, 32, batch_first=True), (1, 10, 16))
