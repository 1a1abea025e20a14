"""The computed weights of a network, for `edge-pipeline inspect`."""

from __future__ import annotations

from dataclasses import dataclass

from edge_pipeline.compiler.analysis.computed import ComputedWeight, computed_weights
from edge_pipeline.compiler.source import entries
from edge_pipeline.compiler.source.network import SourceNetwork
from edge_pipeline.compiler.source.reference import macs_of
from edge_pipeline.errors import InputError

__all__ = ["Findings", "findings_of", "is_worth_splitting"]


def is_worth_splitting(predictor_macs: int, path_macs: int) -> bool:
    """Return whether predicting the weights costs less than half as much as using them."""
    return 2 * predictor_macs < path_macs


@dataclass(frozen=True)
class Findings:
    """The computed weights of a network.

    Attributes:
        weights: Computed weights, in the graph's order.
        macs: Multiply-accumulates of the whole network for its example inputs.
        predictor_macs: Those of the part that predicts weights; None if it cannot be cut off.
        path_macs: Those of the part that uses the weights; None if it cannot be cut off.
        filters: Names of the tensors at the cut.
    """

    weights: tuple[ComputedWeight, ...]
    macs: int
    predictor_macs: int | None
    path_macs: int | None
    filters: tuple[str, ...]

    @property
    def forms(self) -> tuple[str, ...]:
        """Names of the deployment forms in which the network can be compiled, best first."""
        if self.predictor_macs is None or self.path_macs is None:
            return ("dynamic",)
        if is_worth_splitting(self.predictor_macs, self.path_macs):
            return ("refolded", "split", "folded", "dynamic")
        return ("dynamic", "refolded", "split", "folded")


def findings_of(network: SourceNetwork) -> Findings:
    """Trace a network and find its computed weights.

    Args:
        network: Network with example inputs.

    Raises:
        CompileError: If torch cannot trace the network.
        InputError: If the network does not support its fixed values.
    """
    whole = entries.dynamic(network)
    weights = computed_weights(whole.program)
    macs = macs_of(whole.program, whole.example)
    try:
        predictor, path = entries.split(network)
    except InputError:
        return Findings(weights, macs, None, None, ())
    return Findings(
        weights,
        macs,
        macs_of(predictor.program, predictor.example),
        macs_of(path.program, path.example),
        tuple(role.name for role in predictor.outputs),
    )
