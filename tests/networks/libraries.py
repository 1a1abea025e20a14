"""Networks of timm and torchvision with fresh weights; each factory imports its own library."""

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from tests.networks.weights import settled

__all__ = ["of_timm", "of_torchvision"]


def of_timm(name: str, side: int, **options: Any) -> nn.Module:
    """Return a network of timm without pretrained weights, for pictures of `side` x `side`."""
    import timm

    torch.manual_seed(0)
    return settled(timm.create_model(name, pretrained=False, **options), (1, 3, side, side))


class Named(nn.Module):
    """A wrapper that returns the output `out` of a segmentation network of torchvision."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        return self.network(x)["out"]


def of_torchvision(name: str, side: int, **options: Any) -> nn.Module:
    """Return a torchvision network without pretrained weights, for pictures of `side` x `side`."""
    from torchvision import models

    torch.manual_seed(0)
    family = models.segmentation if hasattr(models.segmentation, name) else models
    if family is models.segmentation:
        network = Named(getattr(family, name)(weights=None, weights_backbone=None, **options))
    else:
        network = getattr(models, name)(weights=None, **options)
    return settled(network, (1, 3, side, side))


efficientnet_cc = partial(of_timm, "tf_efficientnet_cc_b0_4e", 64, num_classes=10)
mobilevit = partial(of_timm, "mobilevit_xxs", 64, num_classes=10)
mobilenet_v3 = partial(of_torchvision, "mobilenet_v3_small", 64, num_classes=10)
