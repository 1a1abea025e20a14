"""Weights from a fixed seed that propagate the signal, for untrained networks."""

import math

import torch
from torch import Tensor, nn

__all__ = ["drawn", "settled"]

SEED = 0


def drawn(shape: tuple[int, ...], seed: int) -> Tensor:
    """Return an input of `shape`, drawn uniformly from 0 to 1."""
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def settled(module: nn.Module, *shapes: tuple[int, ...]) -> nn.Module:
    """Return `module` in eval mode, with weights drawn so that its outputs depend on its inputs.

    Weights of convolutions and linear layers get He's variance. Batch normalisation gets the
    statistics of its inputs on one random batch. Residual scales near zero are set to 0.3, those of
    batch normalisation too: converters remove a branch whose scale is zero.

    Args:
        module: Any module; parameters that do not belong to such layers are kept.
        shapes: Shapes of the inputs, in the order of `forward`.
    """
    generator = torch.Generator().manual_seed(SEED)
    with torch.no_grad():
        for name, layer in module.named_modules():
            plain = not hasattr(layer, "parametrizations")
            if plain and isinstance(layer, (nn.Conv1d, nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
                fan = max(1, layer.weight[0].numel())
                layer.weight.normal_(0, math.sqrt(2 / fan), generator=generator)
                if layer.bias is not None and not name.endswith(KEPT):
                    layer.bias.normal_(0, 0.1, generator=generator)
        for name, parameter in module.named_parameters():
            if name.endswith(("gamma", "layer_scale", ".gamma_1")):
                parameter.fill_(0.3)
        _settle_statistics(module, shapes)
    return module.eval()


# Layers that compute a scale, whose biases are kept: they start at one in the published networks.
KEPT = ("modulation", "to_scale")


def _settle_statistics(module: nn.Module, shapes: tuple[tuple[int, ...], ...]) -> None:
    norms = [m for m in module.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    if not norms:
        return
    module.eval()
    for norm in norms:
        if norm.weight is not None and not norm.weight.any():
            norm.weight.fill_(0.3)
        norm.train()
        norm.momentum = 1.0
    module(*(drawn((8, *shape[1:]), SEED + i) for i, shape in enumerate(shapes)))
    for norm in norms:
        norm.running_var.clamp_(min=0.05)  # for channels that are constant on these inputs
