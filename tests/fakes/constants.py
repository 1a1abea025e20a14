"""Artifacts whose manifest lists the places of their one weight."""

import numpy as np
import safetensors.numpy

from edge_pipeline.artifact.constants import locate
from edge_pipeline.artifact.draft import write_artifact
from tests.fakes.artifacts import FILTER, demosaic_weight, make_files

__all__ = ["GRAPH", "NEW", "OLD", "files_with_constants", "with_constants"]

OLD = demosaic_weight(1)[None]
NEW = {FILTER: np.random.default_rng(5).standard_normal(OLD.shape).astype(np.float32)}


GRAPH = "forward.graph.safetensors"


def files_with_constants(**changes):
    """The fake's files, and a graph file that holds its weight and no calls."""
    manifest, files = make_files(size=(32, 32))
    files[GRAPH] = safetensors.numpy.save({"weight": OLD, "other": np.zeros(8, np.float32)})
    holding = {name: files[name] for name in ("forward.onnx", GRAPH)}
    constants = locate(holding, {FILTER: OLD}, required=[GRAPH]).constants
    program = manifest.programs[0].model_copy(update={"constants": constants, "graph": GRAPH})
    return manifest.model_copy(update={"programs": (program,)} | changes), files


def with_constants(folder, **changes):
    return write_artifact(folder, *files_with_constants(**changes), force=False)
