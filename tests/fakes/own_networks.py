"""Networks as users write them: nothing in them knows of this project."""

import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from torch import nn


class Film(nn.Module):
    """A style vector scales and shifts the features of a picture."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, padding=1)
        self.last = nn.Conv2d(8, 3, 3, padding=1)
        self.style = nn.Linear(4, 16)

    def forward(self, image, style):
        scale, shift = self.style(style).chunk(2, -1)
        features = self.first(image) * scale[..., None, None] + shift[..., None, None]
        return self.last(F.relu(features))


class DynamicConvolution(nn.Module):
    """Attention over four kernels, from the pooled picture."""

    def __init__(self):
        super().__init__()
        self.kernels = nn.Parameter(0.2 * torch.randn(4, 8 * 3 * 3 * 3))
        self.attention = nn.Linear(3, 4)
        self.last = nn.Conv2d(8, 5, 1)

    def forward(self, image):
        share = self.attention(image.mean((2, 3))).softmax(-1)  # [1, 4]
        weight = (share @ self.kernels).view(8, 3, 3, 3)
        return self.last(F.relu(F.conv2d(image, weight, padding=1)))


class Rescaled(nn.Module):
    """The size of the inner map is a number that the caller gives."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3, padding=1)
        self.last = nn.Conv2d(4, 2, 3, padding=1)

    def forward(self, image, phi):
        inner = [int(side * phi) for side in image.shape[2:]]
        small = F.interpolate(image, size=inner, mode="bilinear")
        y = F.relu(self.first(small))
        return F.interpolate(self.last(y), size=image.shape[2:], mode="bilinear")


def classifier():
    """A multilayer perceptron on vectors."""
    return nn.Sequential(nn.Linear(10, 20), nn.ReLU(), nn.Linear(20, 3))


class Pyramid(nn.Module):
    """Two outputs of different sizes."""

    def __init__(self):
        super().__init__()
        self.fine = nn.Conv2d(3, 4, 3, padding=1)
        self.coarse = nn.Conv2d(4, 6, 3, padding=1, stride=2)

    def forward(self, image):
        fine = F.relu(self.fine(image))
        return fine, self.coarse(fine)


def broken():
    """A factory that fails."""
    raise ValueError("no such file: backbone.yaml")


def number():
    """A factory that returns no module."""
    return 3


class Styled(nn.Module):
    """The first input decides on the weights, the second is convolved: the path takes it alone."""

    def __init__(self):
        super().__init__()
        self.kernels = nn.Linear(4, 5 * 3 * 3 * 3)

    def forward(self, style, image):
        return F.conv2d(image, self.kernels(style).view(5, 3, 3, 3), padding=1)


class ScaledDynamic(DynamicConvolution):
    """Dynamic convolution of a picture that a number scales."""

    def forward(self, image, gain):
        return super().forward(image * gain)


class Tokens(nn.Module):
    """Words by number, and which of them count, to scores and a label."""

    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(50, 16)
        self.scores = nn.Linear(16, 7)

    def forward(self, tokens, counts):
        shares = counts.to(torch.float32)
        mean = (self.words(tokens) * shares[..., None]).sum(1) / (1 + shares.sum(1, keepdim=True))
        scores = self.scores(mean)
        return scores, scores.argmax(-1)


class Labels(nn.Module):
    """A picture to a label a pixel."""

    def __init__(self):
        super().__init__()
        self.scores = nn.Conv2d(3, 5, 3, padding=1)

    def forward(self, image):
        return self.scores(image).argmax(1)


def amortised():
    """`Rescaled` with weights that are functions of phi."""
    from edge_pipeline.models.amortised import Amortised

    with torch.random.fork_rng():
        torch.manual_seed(3)
        return Amortised(Rescaled(), (0.2, 0.9), hidden2=4).eval()


def wide():
    """`Rescaled` with ordinary weights, most of which are in one layer."""
    with torch.random.fork_rng():
        torch.manual_seed(4)
        network = Rescaled()
        network.first = nn.Sequential(
            nn.Conv2d(3, 64, 3, padding=1), nn.Conv2d(64, 4, 3, padding=1)
        )
        return network.eval()


class Detector(nn.Module):
    """A dictionary of pictures in, a dictionary of maps and numbers out."""

    def __init__(self):
        super().__init__()
        self.features = nn.Conv2d(3, 4, 3, padding=1)

    def forward(self, batch, masks):
        y = self.features(batch["image"]) * batch["gain"] * masks[0] + masks[1]
        return {
            "maps": {"0": y, "1": y.relu()},
            "largest": y.amax(),
            "none": None,
            "mean": y.mean(),
        }


class ImplicitPicture(nn.Module):
    """A hypernetwork computes all weights of a perceptron from positions to colours."""

    def __init__(self):
        super().__init__()
        self.painter = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 3))
        self.shapes = {name: value.shape for name, value in self.painter.named_parameters()}
        count = sum(shape.numel() for shape in self.shapes.values())
        self.encoder = nn.Sequential(nn.Linear(5, count))
        axis = torch.linspace(-1, 1, 6)
        grid = torch.stack(torch.meshgrid(axis, axis, indexing="ij"), -1)
        self.register_buffer("grid", grid.reshape(-1, 2))

    def forward(self, code):
        parts = self.encoder(code)[0].split([shape.numel() for shape in self.shapes.values()])
        weights = {
            name: part.view(shape)
            for (name, shape), part in zip(self.shapes.items(), parts, strict=True)
        }
        colours = torch.func.functional_call(self.painter, weights, (self.grid,))
        return colours.T.reshape(1, 3, 6, 6)


class Uneven(nn.Module):
    """One channel between `large` and `small` is 2000 times as large as the others, and unused.

    A scale for all channels rounds the others to zero, so int8 needs these two layers in float32.
    """

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 8, 1)
        self.large = nn.Conv2d(8, 8, 1)
        self.small = nn.Conv2d(8, 8, 1)
        self.last = nn.Conv2d(8, 32, 3, padding=1)
        with torch.no_grad():
            self.large.weight[0] *= 2000
            self.small.weight[:, 0] = 0

    def forward(self, image, phi):
        inner = [int(side * phi) for side in image.shape[2:]]
        resized = F.interpolate(image, size=inner, mode="bilinear")
        y = F.relu(self.small(self.large(F.relu(self.first(resized)))))
        return F.interpolate(self.last(y), size=image.shape[2:], mode="bilinear")


def uneven():
    """An untrained network that int8 in all layers spoils, at a scale that the caller gives."""
    torch.manual_seed(1)
    return Uneven()
