"""A network with computed weights that compiles in a few seconds: two HyperConvs and one shuffle.

It stands for the registered networks in tests whose subject is not the network. The fixture
`small_isp` of tests/conftest.py registers it.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch.nn.functional as F  # noqa: N812 - the field's name for it
from torch import Tensor, nn

from edge_pipeline.models.layers import given_filters
from edge_pipeline.models.layers.hyperconv import HyperConv
from edge_pipeline.models.network import Port

__all__ = ["Options", "SmallISP", "build"]


@dataclass(frozen=True)
class Options:
    """Options of the network.

    Attributes:
        width: Feature maps.
        hyper: Whether the filters are predicted.
    """

    width: int = 4
    hyper: bool = True


def build(options: Options) -> nn.Module:
    """The network with fresh weights."""
    return SmallISP(options)


class SmallISP(nn.Module):
    """Packed Bayer in, a picture of twice the size out; see `models.network.Network`."""

    stride = 16
    min_size = 32
    halo = 16
    scale = 2
    default_size = (32, 48)
    free_sizes = True

    def __init__(self, options: Options) -> None:
        super().__init__()
        self.options = options
        space = "packed_bayer_white_balanced"
        self.inputs = (Port("packed", 4, "a packed capture", space, (0.0, 1.0)),)
        self.outputs = (Port("rgb", 3, "a picture", "camera_linear", (0.0, 1.0), times=2),)
        self.embed = nn.Conv2d(4, 6, 3, padding=1, stride=2)
        self.first = self._convolution(4, options.width)
        self.middle = nn.Conv2d(options.width, options.width, 3, padding=1)
        self.last = self._convolution(options.width, 12)

    def _convolution(self, n_in: int, n_out: int) -> nn.Module:
        if not self.options.hyper:
            return nn.Conv2d(n_in, n_out, 3, padding=1)
        return HyperConv(n_in, 6, n_out, bias=True, n_hid=4)

    def forward(self, x: Tensor) -> Tensor:
        """[N, 4, H, W] -> [N, 3, 2H, 2W]."""
        if not self.options.hyper:
            return F.pixel_shuffle(self.last(F.relu(self.middle(F.relu(self.first(x))))), 2)
        signal = self.embed(x)
        y = F.relu(self.middle(F.relu(self.first(x, signal))))
        return F.pixel_shuffle(self.last(y, signal), 2)

    def predict_filters(self, x: Tensor) -> dict[str, Tensor]:
        """The filters that the network predicts for its input."""
        return given_filters.predict_filters(self, x)

    def apply_filters(self, x: Tensor, filters: Mapping[str, Tensor]) -> Tensor:
        """The network's output for given filters."""
        return given_filters.apply_filters(self, x, filters, embeddings=(self.embed,))
