"""What an artifact says its network costs; no network is built for it."""

from __future__ import annotations

from pydantic import ValidationError

from edge_pipeline.artifact.store import Artifact
from edge_pipeline.errors import ArtifactError
from edge_pipeline.record import COST_FILE, CostRecord

__all__ = ["recorded_cost"]


def recorded_cost(artifact: Artifact) -> CostRecord | None:
    """The cost, layer by layer, that was counted when the artifact was compiled.

    It is that of all the artifact's programs at their reference input; folded filters leave the
    predictors out.

    Args:
        artifact: a checked artifact.

    Returns:
        None if the artifact carries no `cost.json`.

    Raises:
        ArtifactError: it carries one that is of another schema.
    """
    if COST_FILE not in artifact.manifest.files:
        return None
    path = artifact.path(COST_FILE)
    try:
        return CostRecord.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "the top"
        raise ArtifactError(f"{path} breaks the schema at {where}: {first['msg']}") from error
