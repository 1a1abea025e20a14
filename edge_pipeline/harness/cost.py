"""Reader of the cost that an artifact stores; it does not build the network."""

from __future__ import annotations

from pydantic import ValidationError

from edge_pipeline.artifact.store import Artifact
from edge_pipeline.errors import ArtifactError, first_fault
from edge_pipeline.record import COST_FILE, CostRecord

__all__ = ["recorded_cost"]


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
