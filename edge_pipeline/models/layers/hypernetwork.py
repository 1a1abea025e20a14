"""The hypernetwork that computes a network's weights from the rescaling factor phi."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

__all__ = ["SLOPE", "Hypernetwork", "initialise"]

# Negative slope of LeakyReLU: torch's default, which the paper does not change.
SLOPE = 0.01
_SMALL_BIAS = 0.02


def initialise(weight: Tensor, *, slope: float = 1.0) -> None:
    """Initialise `weight` in place by Kaiming's method with `fan_out`, from torch's generator.

    Args:
        weight: Weight of a linear layer or a convolution.
        slope: Negative slope of the LeakyReLU that follows the layer; 1 if none follows.
    """
    nn.init.kaiming_normal_(weight, a=slope, mode="fan_out", nonlinearity="leaky_relu")


class Hypernetwork(nn.Module):
    """A hypernetwork of two hidden layers with the input [phi, 1 - phi].

    Its last layer is a separate linear layer for each predicted tensor, so that the initialisation
    of a tensor depends only on its own size.

    Args:
        shapes: Shapes of the predicted tensors by name, as in `nn.Module.named_parameters`.
        hidden1: Width of the first hidden layer.
        hidden2: Width of the second hidden layer.
        factors: Number of separate rescaling factors; each adds two inputs, phi_i and 1 - phi_i.

    Source: [AmortizedScaling], section 4.1 "Hypernetwork", and appendices A.1 "Initialization" and
    C.1 for several factors.
    """

    def __init__(
        self,
        shapes: Mapping[str, tuple[int, ...]],
        hidden1: int = 10,
        hidden2: int = 100,
        *,
        factors: int = 1,
    ) -> None:
        super().__init__()
        self.shapes = {name: tuple(shape) for name, shape in shapes.items()}
        self.slope = SLOPE
        self.hidden = nn.Sequential(
            nn.Linear(2 * factors, hidden1),
            nn.LeakyReLU(SLOPE),
            nn.Linear(hidden1, hidden2),
            nn.LeakyReLU(SLOPE),
        )
        self.heads = nn.Module()
        for name, shape in self.shapes.items():
            *path, kind = name.split(".")
            group = self.heads
            for part in path:
                if part not in dict(group.named_children()):
                    group.add_module(part, nn.Module())
                group = group.get_submodule(part)
            group.add_module(kind, nn.Linear(hidden2, torch.Size(shape).numel()))
        for module in self.modules():
            if isinstance(module, nn.Linear):
                # Only the hidden layers' outputs go through a LeakyReLU.
                hidden = module is self.hidden[0] or module is self.hidden[2]
                initialise(module.weight, slope=SLOPE if hidden else 1.0)
                nn.init.zeros_(module.bias)

    def forward(self, phi: Tensor) -> dict[str, Tensor]:
        """Return the predicted tensors by name, in the order of `shapes`.

        Args:
            phi: Rescaling factors, a tensor of shape [factors].
        """
        features = self.hidden(torch.cat([phi, 1 - phi]))  # [2 * factors] -> [hidden2]
        return {
            # [hidden2] -> [numel] -> shape of the predicted tensor
            name: self.heads.get_submodule(name)(features).reshape(shape)
            for name, shape in self.shapes.items()
        }

    @torch.no_grad()
    def keep_variance(self, phis: Sequence[float]) -> None:
        """Rescale the last layer so that predicted convolutions keep the variance of their maps.

        Under the published initialisation, a kernel [out, in, k, k] has the variance
        1 / (out * in * k * k) per unit of the hidden features. This is `out` times too small to
        keep the variance of the maps. After the rescaling, the mean square of each predicted
        kernel, over `phis`, is 2 / (in * k * k), and biases are small compared to maps of 0 to 1.

        Args:
            phis: Values of phi, at least one; each is used for all factors.
        """
        first = self.hidden.get_parameter("0.weight")
        count = first.shape[1] // 2
        predicted = [self(first.new_full((count,), phi)) for phi in phis]
        for name in self.shapes:
            values = torch.stack([one[name] for one in predicted])
            kernel = len(self.shapes[name]) > 1
            target = math.sqrt(2 / values[0, 0].numel()) if kernel else _SMALL_BIAS
            found = float(values.pow(2).mean().sqrt())
            head = self.heads.get_submodule(name)
            for parameter in head.parameters():
                parameter.mul_(target / max(found, 1e-30))
