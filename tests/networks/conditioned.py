"""Networks that are conditioned by a second input or a hypernetwork."""

import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from torch import Tensor, nn

from tests.networks.weights import settled

__all__ = ["film_unet", "lora"]

PICTURE = (1, 3, 32, 32)


class FilmBlock(nn.Module):
    """A convolution, group normalisation, and a scale and shift computed from the condition."""

    def __init__(self, n_in: int, n_out: int, condition: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(n_in, n_out, 3, padding=1)
        self.norm = nn.GroupNorm(4, n_out)
        self.film = nn.Linear(condition, 2 * n_out)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        scale, shift = self.film(condition)[:, :, None, None].chunk(2, dim=1)
        return F.silu(self.norm(self.conv(x)) * (1 + scale) + shift)


class FilmUNet(nn.Module):
    """A UNet of two levels with a sinusoidal embedding of time steps, as in diffusion models."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Sequential(nn.Linear(16, 16), nn.SiLU(), nn.Linear(16, 16))
        self.enter, self.down = FilmBlock(3, 8, 16), FilmBlock(8, 16, 16)
        self.middle, self.up = FilmBlock(16, 16, 16), FilmBlock(24, 8, 16)
        self.leave = nn.Conv2d(8, 3, 1)

    def forward(self, image: Tensor, time: Tensor) -> Tensor:
        rates = torch.exp(torch.arange(8, dtype=torch.float32) * -0.5)
        angles = time[:, None] * rates[None]
        condition = self.embed(torch.cat([angles.sin(), angles.cos()], dim=-1))
        a = self.enter(image, condition)
        b = self.down(F.max_pool2d(a, 2), condition)
        c = F.interpolate(self.middle(b, condition), scale_factor=2.0, mode="nearest")
        return self.leave(self.up(torch.cat([c, a], 1), condition))


def film_unet() -> nn.Module:
    torch.manual_seed(0)
    return settled(FilmUNet(), PICTURE, (1,))


class LowRankConv(nn.Module):
    """A frozen convolution plus a low-rank change of its weights, whose factors are inputs."""

    def __init__(self, n_in: int, n_out: int, rank: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(n_in, n_out, 3, padding=1)
        self.shapes = ((n_out, rank), (rank, n_in * 9))

    def forward(self, x: Tensor, factors: tuple[Tensor, Tensor]) -> Tensor:
        a, b = (f.view(s) for f, s in zip(factors, self.shapes, strict=True))
        weight = self.conv.weight + 0.5 * (a @ b).view_as(self.conv.weight)
        return F.conv2d(x, weight, self.conv.bias, padding=1)


class LowRankLinear(nn.Module):
    """A frozen linear layer plus a low-rank change, written as two matrix products."""

    def __init__(self, n_in: int, n_out: int, rank: int) -> None:
        super().__init__()
        self.linear = nn.Linear(n_in, n_out)
        self.shapes = ((n_out, rank), (rank, n_in))

    def forward(self, x: Tensor, factors: tuple[Tensor, Tensor]) -> Tensor:
        a, b = (f.view(s) for f, s in zip(factors, self.shapes, strict=True))
        return self.linear(x) + 0.5 * (x @ b.t()) @ a.t()


class LoRA(nn.Module):
    """A small classifier, and a hypernetwork that computes its factors from a description."""

    def __init__(self, rank: int = 2) -> None:
        super().__init__()
        self.first, self.second = LowRankConv(3, 8, rank), LowRankConv(8, 16, rank)
        self.classes = LowRankLinear(16, 10, rank)
        self.layers = (self.first, self.second, self.classes)
        self.sizes = [a * b for layer in self.layers for a, b in layer.shapes]
        self.hyper = nn.Sequential(nn.Linear(6, 32), nn.GELU(), nn.Linear(32, sum(self.sizes)))

    def forward(self, image: Tensor, description: Tensor) -> Tensor:
        parts = self.hyper(description)[0].split(self.sizes)
        x = F.relu(self.first(image, (parts[0], parts[1])))
        x = F.relu(self.second(F.avg_pool2d(x, 2), (parts[2], parts[3])))
        return self.classes(x.mean((2, 3)), (parts[4], parts[5]))


def lora() -> nn.Module:
    torch.manual_seed(0)
    return settled(LoRA(), PICTURE, (1, 6))
