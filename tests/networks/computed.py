"""Networks whose convolution weights are computed by other operators of the graph."""

import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from torch import Tensor, nn

from tests.networks.weights import settled

__all__ = ["correlated", "patches"]


class Patches(nn.Module):
    """Extracts windows by a convolution with one-hot kernels that the network computes.

    The kernels of a second convolution depend on the picture. Source: issue 729 of MNN.
    """

    def __init__(self) -> None:
        super().__init__()
        self.weigh = nn.Linear(27, 27)
        self.leave = nn.Conv2d(27, 4, 1)

    def forward(self, image: Tensor) -> Tensor:
        kernels = torch.eye(27).reshape(27, 3, 3, 3)
        windows = F.conv2d(image, kernels, stride=1, padding=1)
        gains = torch.sigmoid(self.weigh(windows.mean((2, 3)))).reshape(27, 1, 1, 1)
        weighted = F.conv2d(image, kernels * gains, padding=1)
        return self.leave(torch.relu(windows - weighted))


def patches() -> nn.Module:
    torch.manual_seed(0)
    return settled(Patches(), (1, 3, 32, 32))


class Correlated(nn.Module):
    """A tracker, which convolves the features of a picture with the features of the target."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 8, 3, stride=2), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.ReLU()
        )
        self.leave = nn.Conv2d(8, 2, 1)

    def forward(self, target: Tensor, search: Tensor) -> Tensor:
        kernel, seen = self.features(target), self.features(search)
        depthwise = F.conv2d(seen, kernel.permute(1, 0, 2, 3), groups=8)
        return self.leave(depthwise * 0.1), F.conv2d(seen, kernel) * 0.01


def correlated() -> nn.Module:
    torch.manual_seed(0)
    return settled(Correlated(), (1, 3, 15, 15), (1, 3, 31, 31))
