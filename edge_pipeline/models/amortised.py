"""The wrapper that makes the convolution weights of any network predictions from phi."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.modules.conv import _ConvNd
from torch.nn.parameter import UninitializedParameter

from edge_pipeline.errors import InputError
from edge_pipeline.models.layers.hypernetwork import Hypernetwork
from edge_pipeline.models.layers.rescaling import Phi, factors_of

__all__ = ["Amortised"]

# The attributes of `models.network.Network` that are those of the wrapped network.
_DESCRIPTION = ("inputs", "outputs", "stride", "min_size", "halo", "scale", "default_size")


class Amortised(nn.Module):
    """A network whose convolution weights and biases are predicted from a rescaling factor phi.

    The wrapped network is an ordinary `nn.Module` with `forward(x, phi)`, whose map sizes depend on
    phi. All weights and biases of its convolutions (of one to three dimensions, transposed ones
    included) become outputs of a hypernetwork; its other parameters, such as those of
    normalisation, remain trainable parameters. A parameter that several layers share is predicted
    once.

    Args:
        network: The network; the wrapper takes its convolution parameters away, so it runs only
            inside the wrapper afterwards.
        phi_range: Lowest and highest phi of training, 0 to 1.
        hidden1: Width of the hypernetwork's first hidden layer.
        hidden2: Width of the hypernetwork's second hidden layer.
        factors: Number of separate rescaling factors; 1 if all rescalings share one.

    Attributes:
        network: The wrapped network, without its convolution parameters.
        hypernetwork: The hypernetwork, with the type and on the device of the parameters that it
            replaces.
        phi_range: Lowest and highest phi of training.
        factors: Number of separate rescaling factors.
        free_sizes: False, because map sizes become constants of a program.

    If the network has all attributes of `models.network.Network`, the wrapper has them too.

    Raises:
        InputError: If the network has no convolution, or one whose sizes are not known yet.

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
        self.phi_range = phi_range
        self.factors = factors
        found = _convolution_parameters(network)
        if not found:
            raise InputError(f"{type(network).__name__} has no convolution to predict weights for")
        for parameter, names in found:
            for name in names:
                _take_away(network, name, parameter)
        self.network = network
        # The names of each predicted tensor, the first of which is that of its prediction.
        self._names = [names for _, names in found]
        first = found[0][0]
        shapes = {names[0]: tuple(parameter.shape) for parameter, names in found}
        self.hypernetwork = Hypernetwork(shapes, hidden1, hidden2, factors=factors)
        self.hypernetwork.to(device=first.device, dtype=first.dtype)
        if all(hasattr(network, name) for name in _DESCRIPTION):
            for name in _DESCRIPTION:
                setattr(self, name, getattr(network, name))

    def weights(self, phi: Phi) -> dict[str, Tensor]:
        """Return the predicted tensors by their names in the wrapped network.

        Args:
            phi: Rescaling factor within `phi_range`, or one for each of `factors`.

        Raises:
            InputError: If phi is outside the trained range.
        """
        values = factors_of(phi, self.factors, self.phi_range)
        bias = self.hypernetwork.hidden.get_parameter("0.bias")
        parts = [torch.full((1,), x, dtype=bias.dtype, device=bias.device) for x in values]
        predicted = self.hypernetwork(torch.cat(parts))
        return {name: predicted[names[0]] for names in self._names for name in names}

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
        # `weights` has the tensors that layers share under the names of all these layers.
        return functional_call(self.network, self.weights(phi), (x, phi), tie_weights=False)

    def rescale_weights(self) -> None:
        """Rescale fresh weights so that the output depends on the picture for every phi.

        With the published initialisation, which is for training, the maps after two stages are
        almost only biases; see docs/decisions/0016-dead-outputs.md.
        """
        lowest, highest = self.phi_range
        self.hypernetwork.keep_variance([lowest, (lowest + highest) / 2, highest])


def _convolution_parameters(network: nn.Module) -> list[tuple[nn.Parameter, list[str]]]:
    """Return each parameter of a convolution, with a name for each layer that it belongs to.

    They include those from which a parametrisation, such as weight normalisation, computes a
    convolution's weights.
    """
    found: dict[int, tuple[nn.Parameter, list[str]]] = {}
    for layer, module in network.named_modules():
        if not isinstance(module, _ConvNd):
            continue
        for parameter in module.parameters():
            if isinstance(parameter, UninitializedParameter):
                raise InputError(
                    f"the convolution {layer} has no sizes yet; run the network once before "
                    "wrapping it"
                )
            found[id(parameter)] = (parameter, [])
    # A layer that the network has under two names is listed once.
    for layer, module in network.named_modules():
        own = module.named_parameters(layer, recurse=False, remove_duplicate=False)
        for name, parameter in own:
            if id(parameter) in found:
                found[id(parameter)][1].append(name)
    return list(found.values())


def _take_away(network: nn.Module, name: str, parameter: nn.Parameter) -> None:
    """Replace a parameter by an empty buffer, which holds its name for `functional_call`."""
    path, _, kind = name.rpartition(".")
    owner = network.get_submodule(path)
    delattr(owner, kind)
    owner.register_buffer(kind, parameter.new_empty(0).detach(), persistent=False)
