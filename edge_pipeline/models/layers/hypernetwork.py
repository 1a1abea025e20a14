"""The hypernetwork that computes a network's weights from the rescaling factor phi."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

__all__ = ["Hypernetwork", "initialise"]

# torch's own default, which the paper does not change.
_SLOPE = 0.01
_SMALL_BIAS = 0.02


def initialise(weight: Tensor, *, slope: float = 1.0) -> None:
    """Fill `weight` by Kaiming's rule with `fan_out`, from torch's generator.

    Args:
        weight: of a linear layer or a convolution; changed in place.
        slope: of the LeakyReLU that follows; 1 where none does.
    """
    nn.init.kaiming_normal_(weight, a=slope, mode="fan_out", nonlinearity="leaky_relu")


class Hypernetwork(nn.Module):
    """phi -> [phi, 1 - phi] -> two hidden layers -> one linear layer per tensor that is predicted.

    The last layer is a group a tensor, so that how a tensor starts depends on its own size alone.

    Args:
        shapes: of the tensors to predict, by `LAYER.weight` or `LAYER.bias`; no dot in LAYER.
        hidden1: width of the first hidden layer.
        hidden2: and of the second.

    Source: papers/000, section 4.1 "Hypernetwork", and appendix A.1 "Initialization".
    """

    def __init__(
        self, shapes: Mapping[str, tuple[int, ...]], hidden1: int = 10, hidden2: int = 100
    ) -> None:
        super().__init__()
        self.shapes = dict(shapes)
        self.slope = _SLOPE
        self.hidden = nn.Sequential(
            nn.Linear(2, hidden1),
            nn.LeakyReLU(_SLOPE),
            nn.Linear(hidden1, hidden2),
            nn.LeakyReLU(_SLOPE),
        )
        self.heads = nn.ModuleDict()
        for name, shape in self.shapes.items():
            layer, kind = name.split(".")
            if layer not in self.heads:
                self.heads[layer] = nn.ModuleDict()
            group: nn.Module = self.heads[layer]
            group.add_module(kind, nn.Linear(hidden2, torch.Size(shape).numel()))
        for module in self.modules():
            if isinstance(module, nn.Linear):
                # Only the hidden layers' outputs go through a LeakyReLU.
                hidden = module is self.hidden[0] or module is self.hidden[2]
                initialise(module.weight, slope=_SLOPE if hidden else 1.0)
                nn.init.zeros_(module.bias)

    def forward(self, phi: Tensor) -> dict[str, Tensor]:
        """The tensors by name, in the order of `shapes`.

        Args:
            phi: [1].
        """
        features = self.hidden(torch.cat([phi, 1 - phi]))  # [2] -> [hidden2]
        return {
            # [hidden2] -> [numel] -> the tensor's own shape
            name: self.heads.get_submodule(name)(features).reshape(shape)
            for name, shape in self.shapes.items()
        }

    @torch.no_grad()
    def keep_variance(self, phis: Sequence[float]) -> None:
        """Rescale the last layer so that predicted convolutions keep the variance of their maps.

        The published initialisation gives a kernel [out, in, k, k] the variance 1 / (out * in *
        k * k) per unit of the hidden features, `out` times less than keeps the variance of maps.
        Afterwards the mean square of each predicted kernel, over `phis`, is 2 / (in * k * k), and
        that of a bias is small beside a map of 0 to 1.

        Args:
            phis: values of phi, at least one.
        """
        predicted = [self(torch.tensor([phi])) for phi in phis]
        for name in self.shapes:
            values = torch.stack([one[name] for one in predicted])
            kernel = name.endswith(".weight")
            wanted = math.sqrt(2 / values[0, 0].numel()) if kernel else _SMALL_BIAS
            found = float(values.pow(2).mean().sqrt())
            head = self.heads.get_submodule(name)
            for parameter in head.parameters():
                parameter.mul_(wanted / max(found, 1e-30))
