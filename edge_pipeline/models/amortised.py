"""The wrapper that makes the convolution weights of any network predictions from phi."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.modules.conv import _ConvNd

from edge_pipeline.errors import InputError
from edge_pipeline.models.layers.hypernetwork import Hypernetwork
from edge_pipeline.models.layers.rescaling import Phi, factors_of

__all__ = ["Amortised"]

# The attributes of `models.network.Network`, which describe the wrapped network as well.
_DESCRIPTION = ("inputs", "outputs", "stride", "min_size", "halo", "scale", "default_size")


class Amortised(nn.Module):
    """A network whose convolution weights and biases are predicted from a rescaling factor phi.

    The wrapped network is an ordinary `nn.Module` with `forward(x, phi)`, whose map sizes depend on
    phi. All weights and biases of its convolutions become outputs of a hypernetwork; its other
    parameters, such as those of normalisation, remain trainable parameters.

    Args:
        network: The network; the wrapper takes its convolution parameters away.
        phi_range: Lowest and highest phi of training, 0 to 1.
        hidden1: Width of the hypernetwork's first hidden layer.
        hidden2: Width of the hypernetwork's second hidden layer.
        factors: Number of separate rescaling factors; 1 if all rescalings share one.

    Attributes:
        network: The wrapped network, without its convolution parameters.
        hypernetwork: The hypernetwork.
        phi_range: Lowest and highest phi of training.
        free_sizes: False, because map sizes become constants of a program.

    The attributes that `models.network.Network` describes are those of the wrapped network, if it
    has them.

    Raises:
        InputError: If the network has no convolution.

    Source: [AmortizedScaling], section 3 and Figure 2.
    """

    free_sizes = False

    def __init__(
        self,
        network: nn.Module,
        phi_range: tuple[float, float] = (0.0, 1.0),
        *,
        hidden1: int = 10,
        hidden2: int = 100,
        factors: int = 1,
    ) -> None:
        super().__init__()
        self.network = network
        self.phi_range = phi_range
        self.factors = factors
        shapes = _without_convolution_parameters(network)
        if not shapes:
            raise InputError(f"{type(network).__name__} has no convolution to predict weights for")
        self.hypernetwork = Hypernetwork(shapes, hidden1, hidden2, factors=factors)
        for name in _DESCRIPTION:
            if hasattr(network, name):
                setattr(self, name, getattr(network, name))

    def weights(self, phi: Phi) -> dict[str, Tensor]:
        """Return the predicted tensors by their name in the wrapped network.

        Args:
            phi: Rescaling factor within `phi_range`, or one for each of `factors`.

        Raises:
            InputError: If phi is outside the trained range.
        """
        values = factors_of(phi, self.factors, self.phi_range)
        bias = self.hypernetwork.hidden.get_parameter("0.bias")
        parts = [torch.full((1,), x, dtype=bias.dtype, device=bias.device) for x in values]
        predicted: dict[str, Tensor] = self.hypernetwork(torch.cat(parts))
        return predicted

    def forward(self, x: Tensor, phi: Phi) -> Any:
        """Predict the weights for phi, and run the wrapped network with them.

        Args:
            x: Input of the wrapped network.
            phi: Rescaling factor within `phi_range`, or one for each of `factors`.

        Returns:
            The output of the wrapped network.

        Raises:
            InputError: If phi is outside the trained range.
        """
        return functional_call(self.network, self.weights(phi), (x, phi))

    def rescale_weights(self) -> None:
        """Rescale fresh weights so that the output depends on the picture for every phi.

        With the published initialisation, which is for training, the maps after two stages are
        almost only biases; see docs/decisions/0016-dead-outputs.md.
        """
        lowest, highest = self.phi_range
        self.hypernetwork.keep_variance([lowest, (lowest + highest) / 2, highest])


def _without_convolution_parameters(network: nn.Module) -> dict[str, tuple[int, ...]]:
    """Replace the parameters of all convolutions by empty buffers, and return their shapes."""
    shapes: dict[str, tuple[int, ...]] = {}
    for layer, module in network.named_modules():
        if not isinstance(module, _ConvNd):
            continue
        for kind, parameter in list(module.named_parameters(recurse=False)):
            shapes[f"{layer}.{kind}"] = tuple(parameter.shape)
            delattr(module, kind)
            # `functional_call` replaces buffers by name; an empty one holds the name.
            module.register_buffer(kind, parameter.new_empty(0).detach(), persistent=False)
    return shapes
