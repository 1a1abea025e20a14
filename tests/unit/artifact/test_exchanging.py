"""Other weights in a program's files: the one way to write them, and what it refuses."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from edge_pipeline.artifact.exchanging import exchanged_files
from edge_pipeline.artifact.store import Artifact
from edge_pipeline.errors import ArtifactError, InputError
from edge_pipeline.runtime.base import open_session
from tests.fakes.artifacts import CALIBRATED, FILTER, GRAPH, apply_filters, make_artifact
from tests.selection import examples

finite = st.floats(-4, 4, width=32)
filters = hnp.arrays(np.float32, CALIBRATED.shape, elements=finite)


@pytest.fixture(scope="module")
def refolded(tmp_path_factory) -> Artifact:
    return make_artifact(tmp_path_factory.mktemp("artifacts") / "refolded", filters="refolded")


@examples(20)
@given(value=filters)
def test_a_session_computes_with_the_given_constants(refolded, value):
    inputs, _ = refolded.reference("forward")
    with open_session(refolded, "forward", threads=1, constants={FILTER: value}) as session:
        found = session.run(inputs)["rgb"]
    np.testing.assert_allclose(found, apply_filters(inputs["packed"], value), atol=1e-4)


@examples(20)
@given(value=filters)
def test_nothing_but_the_weights_differs(refolded, value):
    files = exchanged_files(refolded, refolded.program("forward"), {FILTER: value})
    assert sorted(files) == [GRAPH, "forward.onnx"]
    for name, content in files.items():
        old = refolded.path(name).read_bytes()
        assert content == old.replace(CALIBRATED.tobytes(), value.tobytes())


def test_the_files_on_disk_stay(refolded):
    before = {name: refolded.path(name).read_bytes() for name in refolded.manifest.files}
    with open_session(refolded, "forward", threads=1, constants={FILTER: 2 * CALIBRATED}):
        pass
    inputs, outputs = refolded.reference("forward")
    with open_session(refolded, "forward", threads=1) as session:
        np.testing.assert_allclose(session.run(inputs)["rgb"], outputs["rgb"], atol=1e-5)
    assert before == {name: refolded.path(name).read_bytes() for name in before}


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({}, f"the weight {FILTER} is missing"),
        ({FILTER: CALIBRATED, "other": CALIBRATED}, "other is not a weight of the artifact"),
        ({FILTER: CALIBRATED[0]}, "expected float32 1x12x4x3x3, got float32 12x4x3x3"),
        ({FILTER: CALIBRATED.astype(np.float64)}, "got float64 1x12x4x3x3"),
        ({FILTER: CALIBRATED * np.nan}, "not finite"),
    ],
)
def test_values_that_do_not_fit(refolded, values, complaint):
    with pytest.raises(InputError, match=complaint):
        open_session(refolded, "forward", threads=1, constants=values)


@pytest.mark.parametrize("name", ["forward.onnx", GRAPH])
def test_a_file_that_was_changed_after_opening(tmp_path, name):
    artifact = make_artifact(tmp_path / "a", filters="refolded")
    path = artifact.path(name)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(ArtifactError, match=f"{name} was changed after it was written"):
        open_session(artifact, "forward", threads=1, constants={FILTER: CALIBRATED})
    path.unlink()
    with pytest.raises(ArtifactError, match="cannot read"):
        open_session(artifact, "forward", threads=1, constants={FILTER: CALIBRATED})


def test_a_place_that_does_not_hold_the_weight(tmp_path):
    artifact = make_artifact(tmp_path / "a", filters="refolded")
    predictor, path = artifact.manifest.programs
    moved = tuple(
        c.model_copy(update={"offsets": (8,)}) if c.file != GRAPH else c for c in path.constants
    )
    changed = path.model_copy(update={"constants": moved})
    manifest = artifact.manifest.model_copy(update={"programs": (predictor, changed)})
    with pytest.raises(ArtifactError, match=f"lists {FILTER} at byte 8 of forward.onnx"):
        exchanged_files(
            Artifact(artifact.folder, manifest, artifact.digest), changed, {FILTER: CALIBRATED}
        )


def test_programs_without_places(tmp_path, refolded):
    folded = make_artifact(tmp_path / "folded")
    with pytest.raises(InputError, match="lists no exchangeable weights"):
        open_session(folded, "forward", threads=1, constants={FILTER: CALIBRATED})
    spec = refolded.program("forward").model_copy(update={"graph": None})
    with pytest.raises(InputError, match="does not contain the graph"):
        exchanged_files(refolded, spec, {FILTER: CALIBRATED})
