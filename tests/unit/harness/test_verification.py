"""Outputs of a device against the artifact's reference."""

import numpy as np
import pytest
import safetensors.numpy

from edge_pipeline.errors import JobError, RuntimeFailure
from edge_pipeline.harness.verification import read_outputs, require_passed, verification_of
from tests.fakes.artifacts import make_artifact


@pytest.fixture(scope="module")
def artifact(tmp_path_factory):
    return make_artifact(tmp_path_factory.mktemp("verification") / "a")


@pytest.fixture
def outputs(artifact):
    return dict(artifact.reference("forward")[1])


def _one(outputs, change):
    (name,) = outputs
    return {name: change(outputs[name].copy())}


def test_right_outputs_pass(artifact, outputs):
    found = verification_of(artifact, "forward", outputs, "fp32")
    assert (found.result, found.max_abs, found.psnr_db) == ("passed", 0.0, None)
    require_passed("a", found)


def _swap(value):
    value[..., 0, 0] += 0.05
    return value


@pytest.mark.parametrize(
    "change",
    [_swap, lambda v: v * 0, lambda v: v * np.nan, lambda v: v[..., :-1], lambda v: -v],
    ids=["one pixel", "zeros", "nan", "shape", "sign"],
)
def test_wrong_outputs_fail(artifact, outputs, change):
    found = verification_of(artifact, "forward", _one(outputs, change), "fp32")
    assert found.result == "failed"
    assert found.complaint
    with pytest.raises(JobError, match="a computes wrong outputs on the device: "):
        require_passed("a", found)


def test_outputs_of_another_name_fail(artifact, outputs):
    renamed = {"x": next(iter(outputs.values()))}
    assert verification_of(artifact, "forward", renamed, "fp32").result == "failed"


def test_a_runner_without_outputs_is_not_verified(artifact):
    assert verification_of(artifact, "forward", None, "fp32").result == "not_run"


def test_files_that_came_back_damaged_are_refused(tmp_path, outputs):
    path = tmp_path / "outputs.safetensors"
    safetensors.numpy.save_file(outputs, path)
    assert read_outputs(path).keys() == outputs.keys()
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(RuntimeFailure, match=r"outputs\.safetensors cannot be read"):
        read_outputs(path)
