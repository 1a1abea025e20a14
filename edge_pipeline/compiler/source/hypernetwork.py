"""A phi network's hypernetwork as an artifact carries it, and the weights that it gives."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from edge_pipeline.artifact.hypernetwork import HypernetworkSpec, hypernetwork_bytes, weights_at

__all__ = ["exact_weights", "hypernetwork_file"]


def hypernetwork_file(network: nn.Module) -> bytes | None:
    """The hypernetwork as `respecialise` reads it; None if the network has none.

    Args:
        network: a phi network, with a hypernetwork or with ordinary weights.
    """
    parts = _parts(network)
    return None if parts is None else hypernetwork_bytes(*parts)


def exact_weights(network: nn.Module, phi: float) -> dict[str, NDArray[np.float32]] | None:
    """The weights at `phi` to the bit as `respecialise` computes them; None without hypernetwork.

    Args:
        network: a phi network.
        phi: the rescaling factor.
    """
    parts = _parts(network)
    return None if parts is None else weights_at(*parts, phi)


def _parts(network: nn.Module) -> tuple[HypernetworkSpec, dict[str, NDArray[np.float32]]] | None:
    source: Any = network
    held = getattr(network, "hypernetwork", None)
    if held is None:
        return None
    spec = HypernetworkSpec(
        shapes=held.shapes, slope=held.slope, phi_range=source.phi_range, levels=source.levels
    )
    return spec, {name: value.detach().numpy() for name, value in held.state_dict().items()}
