"""Convolutions whose weights are normalised each time they are used."""

import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from torch import Tensor, nn
from torch.nn.utils import spectral_norm as old_spectral_norm
from torch.nn.utils.parametrizations import spectral_norm, weight_norm

__all__ = ["spectral", "spectral_as_before", "standardised", "weighted"]


class Weighted(nn.Module):
    """weight_norm over 1-d, 2-d and transposed convolutions, as in a vocoder."""

    def __init__(self) -> None:
        super().__init__()
        self.enter = weight_norm(nn.Conv2d(3, 8, 3, padding=1))
        self.up = weight_norm(nn.ConvTranspose2d(8, 8, 4, stride=2, padding=1))
        self.leave = weight_norm(nn.Conv2d(8, 3, 3, padding=1))
        self.rows = weight_norm(nn.Conv1d(3, 4, 3, padding=2, dilation=2))

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        y = F.leaky_relu(self.enter(image), 0.1)
        y = self.leave(F.leaky_relu(self.up(y), 0.1))
        return torch.tanh(y), self.rows(image[:, :, 0])


def weighted() -> nn.Module:
    torch.manual_seed(0)
    return Weighted().eval()


class Discriminator(nn.Module):
    """A patch discriminator of convolutions with spectral_norm."""

    def __init__(self, normalise=spectral_norm) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 8, 4, 2, 1),
            nn.LeakyReLU(0.2),
            normalise(nn.Conv2d(8, 16, 4, 2, 1)),
            nn.LeakyReLU(0.2),
            normalise(nn.Conv2d(16, 1, 3, 1, 1)),
        )
        self.judge = normalise(nn.Linear(64, 2))

    def forward(self, image: Tensor) -> Tensor:
        return self.judge(self.layers(image).flatten(1))


def _iterated(network: nn.Module) -> nn.Module:
    """Run `network` in training mode until the largest singular values are known; return it."""
    with torch.no_grad():
        for _ in range(20):
            network.train()(torch.zeros(1, 3, 32, 32))
    return network.eval()


def spectral() -> nn.Module:
    torch.manual_seed(0)
    return _iterated(Discriminator())


def spectral_as_before() -> nn.Module:
    """Return a network with `torch.nn.utils.spectral_norm`, a hook that sets the weight."""
    torch.manual_seed(0)
    return _iterated(Discriminator(old_spectral_norm))


class StandardisedConv(nn.Conv2d):
    """A convolution with weight standardisation: each filter has mean 0 and variance 1."""

    def forward(self, x: Tensor) -> Tensor:
        mean = self.weight.mean((1, 2, 3), keepdim=True)
        spread = self.weight.var((1, 2, 3), keepdim=True, unbiased=False)
        weight = (self.weight - mean) / torch.sqrt(spread + 1e-5)
        return F.conv2d(x, weight, self.bias, self.stride, self.padding)


def standardised() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        StandardisedConv(3, 8, 3, padding=1),
        nn.GroupNorm(2, 8),
        nn.ReLU(),
        StandardisedConv(8, 4, 3, stride=2, padding=1),
    ).eval()
