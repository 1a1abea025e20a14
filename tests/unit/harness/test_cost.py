"""The cost that an artifact carries."""

import pytest

from edge_pipeline.artifact.draft import write_artifact
from edge_pipeline.errors import ArtifactError
from edge_pipeline.harness.cost import recorded_cost
from edge_pipeline.record import COST_FILE, Cost, CostRecord, LayerCost
from tests.fakes.artifacts import make_artifact, make_files

LAYER = LayerCost(
    name="a", op="conv2d", params=5, macs=7, flops=14, output_shape=(1, 2, 3, 4), part="path"
)
COST = CostRecord.build(
    Cost.of([LAYER]), model="hyperconv_unet", options={"head": "shuffle"}, input=(4, 32, 32)
)


def test_it_is_read_back(tmp_path):
    manifest, files = make_files()
    files[COST_FILE] = COST.json_text().encode()
    artifact = write_artifact(tmp_path / "a", manifest, files, force=False)
    assert recorded_cost(artifact) == COST


def test_there_may_be_none(tmp_path):
    assert recorded_cost(make_artifact(tmp_path / "a")) is None


def test_another_schema_is_refused_by_name(tmp_path):
    manifest, files = make_files()
    files[COST_FILE] = b'{"model": 3}'
    artifact = write_artifact(tmp_path / "a", manifest, files, force=False)
    with pytest.raises(ArtifactError, match=r"cost\.json does not match the schema"):
        recorded_cost(artifact)
