"""Phi UNets for tests: with weights that let the picture through, and with ordinary weights."""

import math

import torch
from torch import nn

from edge_pipeline.models.base import build_model

__all__ = ["loud", "ordinary", "under_network"]


def loud(model: nn.Module, phi: float = 0.35) -> nn.Module:
    """`model` with a hypernetwork whose weights at phi keep the maps' variance, as if trained.

    Fresh ones, by the paper's rule, shrink the maps so that after two stages nothing but biases
    is left (a standard deviation of 4e-6 over the logits), and a lost layer would pass unseen.
    """
    with torch.no_grad():
        for name, weight in model.hypernetwork(torch.tensor([phi])).items():
            if name.endswith("weight"):
                expected = math.sqrt(2 / weight[0].numel())
                head = model.hypernetwork.heads.get_submodule(name)
                head.weight *= expected / float(weight.pow(2).mean().sqrt())
    return model


def ordinary(model: nn.Module, options: dict, phi: float) -> nn.Module:
    """The paper's baseline of the same options, with the weights that `model` has at phi."""
    plain = build_model("phi_unet_pets", {**options, "hyper": False})
    with torch.no_grad():
        plain.load_state_dict(model.hypernetwork(torch.tensor([phi])))
    return plain


def under_network(weights: dict) -> dict:
    """Predicted tensors by the names that the layers have inside the wrapper."""
    return {f"network.{name}": value for name, value in weights.items()}
