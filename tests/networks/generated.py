"""Networks of which other networks compute whole layers, in the ways that people write them."""

import math

import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from torch import Tensor, nn
from torch.func import functional_call, vmap

from tests.networks.weights import settled

__all__ = ["burst", "implicit", "instances", "mapped", "reassembly", "recurrent", "tone", "volume"]


class Implicit(nn.Module):
    """A hypernetwork computes a perceptron from positions to colours, run by `functional_call`."""

    def __init__(self) -> None:
        super().__init__()
        self.painter = nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, 3))
        self.shapes = {name: value.shape for name, value in self.painter.named_parameters()}
        count = sum(shape.numel() for shape in self.shapes.values())
        self.encoder = nn.Sequential(
            nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
            nn.Linear(8, count),
        )  # fmt: skip
        axis = torch.linspace(-1, 1, 16)
        grid = torch.stack(torch.meshgrid(axis, axis, indexing="ij"), -1)
        self.register_buffer("grid", grid.reshape(-1, 2))

    def forward(self, image: Tensor) -> Tensor:
        parts = self.encoder(image)[0].split([math.prod(shape) for shape in self.shapes.values()])
        weights = {
            name: part.view(shape)
            for (name, shape), part in zip(self.shapes.items(), parts, strict=True)
        }
        colours = functional_call(self.painter, weights, (self.grid,))
        return colours.T.reshape(1, 3, 16, 16)


class Instances(nn.Module):
    """Queries that attend to a map compute three 1x1 layers for each object's mask."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Conv2d(3, 8, 3, padding=1)
        self.tokens = nn.Conv2d(8, 16, 1)
        self.queries = nn.Parameter(torch.randn(5, 16))
        self.attention = nn.MultiheadAttention(16, 2, batch_first=True)
        self.controller = nn.Linear(16, 8 * 8 + 8 + 8 * 8 + 8 + 8 + 1)

    def forward(self, image: Tensor) -> Tensor:
        x = F.relu(self.features(image))
        tokens = self.tokens(x).flatten(2).transpose(1, 2)
        queries, _ = self.attention(self.queries[None], tokens, tokens)
        weights = self.controller(queries[0]).split([64, 8, 64, 8, 8, 1], 1)
        n, (height, width) = len(self.queries), x.shape[2:]
        x = x.expand(n, -1, -1, -1).reshape(1, n * 8, height, width)
        for weight, bias in ((weights[0], weights[1]), (weights[2], weights[3])):
            weight, bias = weight.reshape(n * 8, 8, 1, 1), bias.reshape(-1)
            x = F.relu(F.conv2d(x, weight, bias, groups=n))
        return F.conv2d(x, weights[4].reshape(n, 8, 1, 1), weights[5].reshape(-1), groups=n)


class Reassembly(nn.Module):
    """Content-aware upsampling: every pixel of the larger map has its own 5 x 5 kernel."""

    def __init__(self) -> None:
        super().__init__()
        self.compress, self.encode = nn.Conv2d(8, 16, 1), nn.Conv2d(16, 4 * 25, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        kernels = F.softmax(F.pixel_shuffle(self.encode(self.compress(x)), 2), 1)
        n, c, height, width = x.shape
        seen = F.unfold(x, 5, padding=2).view(n, c * 25, height, width)
        seen = F.interpolate(seen, scale_factor=2, mode="nearest")
        return (seen.view(n, c, 25, 2 * height, 2 * width) * kernels[:, None]).sum(2)


class Burst(nn.Module):
    """A kernel per pixel for each picture of a burst, whose results are averaged."""

    def __init__(self) -> None:
        super().__init__()
        self.predict = nn.Sequential(
            nn.Conv2d(4, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 4 * 25, 3, padding=1)
        )

    def forward(self, frames: Tensor) -> Tensor:
        b, n, height, width = frames.shape
        kernels = self.predict(frames).view(b, n, 25, height, width).softmax(2)
        seen = F.unfold(F.pad(frames, (2, 2, 2, 2), mode="replicate"), 5)
        return (seen.view(b, n, 25, height, width) * kernels).sum(2).mean(1, keepdim=True)


class Mapped(nn.Module):
    """Each sample of a batch has its own filters, by `torch.vmap` and by a loop over samples."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.predict = nn.Conv2d(3, 8, 3, padding=1), nn.Linear(8, 8 * 8 * 9)

    def forward(self, images: Tensor) -> Tensor:
        x = F.relu(self.stem(images))
        weights = self.predict(x.mean((2, 3))).view(-1, 8, 8, 3, 3)
        mapped = vmap(lambda one, weight: F.conv2d(one[None], weight, padding=1)[0])(x, weights)
        again = [
            F.conv2d(one[None], weight, padding="same")
            for one, weight in zip(mapped, weights, strict=True)
        ]
        return torch.cat(again)


class Recurrent(nn.Module):
    """The state of a recurrent cell computes the matrix of each step."""

    def __init__(self) -> None:
        super().__init__()
        self.cell, self.matrix = nn.GRUCell(8, 16), nn.Linear(16, 8 * 8)

    def forward(self, steps: Tensor) -> Tensor:
        state = steps.new_zeros(steps.shape[0], 16)
        outputs = []
        for x in steps.unbind(1):
            state = self.cell(x, state)
            outputs.append(torch.bmm(self.matrix(state).view(-1, 8, 8), x[..., None])[..., 0])
        return torch.stack(outputs, 1)


class Tone(nn.Module):
    """A polynomial per picture and channel, and a gamma curve."""

    def __init__(self) -> None:
        super().__init__()
        self.predict = nn.Linear(3, 3 * 8)

    def forward(self, image: Tensor) -> Tensor:
        coefficients = self.predict(image.mean((2, 3))).view(-1, 3, 8)
        exponents = torch.arange(1, 9, dtype=image.dtype).view(1, 1, 8, 1, 1)
        powers = image[:, :, None] ** exponents / 10
        return torch.einsum("bck,bckhw->bchw", coefficients, powers).sigmoid() ** (1 / 2.2)


class Volume(nn.Module):
    """A 3-D and a dilated 1-D convolution with weights from a code."""

    def __init__(self) -> None:
        super().__init__()
        self.solid, self.line = nn.Linear(4, 4 * 2 * 27), nn.Linear(4, 3 * 4 * 5)

    def forward(self, video: Tensor, code: Tensor) -> Tensor:
        weight = self.solid(code).view(4, 2, 3, 3, 3) / 5
        x = F.relu(F.conv3d(video, weight, stride=(1, 2, 2), padding=1)).flatten(2)
        return F.conv1d(x, self.line(code).view(3, 4, 5), padding=4, dilation=2)


def burst() -> nn.Module:
    """Denoising of a burst by predicted kernels."""
    torch.manual_seed(0)
    return settled(Burst())


def implicit() -> nn.Module:
    """A perceptron for one picture, all of whose weights are computed."""
    torch.manual_seed(0)
    return settled(Implicit())


def instances() -> nn.Module:
    """Masks of objects by layers that queries compute."""
    torch.manual_seed(0)
    return settled(Instances())


def mapped() -> nn.Module:
    """A batch whose samples have their own filters."""
    torch.manual_seed(0)
    return settled(Mapped())


def reassembly() -> nn.Module:
    """Upsampling by predicted kernels."""
    torch.manual_seed(0)
    return settled(Reassembly())


def recurrent() -> nn.Module:
    """Matrices from the state of a recurrent cell."""
    torch.manual_seed(0)
    return settled(Recurrent())


def tone() -> nn.Module:
    """A tone curve for each picture."""
    torch.manual_seed(0)
    return settled(Tone())


def volume() -> nn.Module:
    """Convolutions over three axes and over one, with weights from a code."""
    torch.manual_seed(0)
    return settled(Volume())
