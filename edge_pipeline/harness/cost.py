"""Reader of the cost that an artifact stores; it does not build the network."""

from __future__ import annotations

from pydantic import ValidationError

from edge_pipeline.artifact.store import Artifact
from edge_pipeline.errors import ArtifactError, first_fault
from edge_pipeline.record import COST_FILE, CostRecord, LayerCost

__all__ = ["multiplying_rows", "recorded_cost"]


def recorded_cost(artifact: Artifact) -> CostRecord | None:
    """Return the cost per layer that was counted when the artifact was compiled.

    It is the cost of all programs of the artifact at their reference inputs. It does not include
    the filter predictors if the filters are folded.

    Args:
        artifact: A checked artifact.

    Returns:
        The cost, or None if the artifact contains no `cost.json`.

    Raises:
        ArtifactError: If its `cost.json` has another schema.
    """
    if COST_FILE not in artifact.manifest.files:
        return None
    path = artifact.path(COST_FILE)
    try:
        return CostRecord.model_validate_json(path.read_bytes())
    except ValidationError as error:
        where, reason = first_fault(error, "the top")
        raise ArtifactError(f"{path} does not match the schema at {where}: {reason}") from error


def multiplying_rows(cost: CostRecord, macs: int) -> list[LayerCost]:
    """Return the layers that multiply in a program of a network, in the order in which they run.

    A program runs all layers, or those that compute the weights, or those that use them; the
    number of its multiply-accumulates decides which.

    Args:
        cost: Cost of the network at the program's input size.
        macs: Multiply-accumulates of the program.

    Returns:
        The layers; empty if no part of the network has this number of operations.
    """
    for kept in (("path", "predictor"), ("path",), ("predictor",)):
        rows = [row for row in cost.layers if row.macs and row.part in kept]
        if rows and sum(row.macs for row in rows) == macs:
            return rows
    return []
