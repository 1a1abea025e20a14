"""What every runtime shares: the way in, and the checks before and after a run."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_pipeline.artifact.manifest import ProgramSpec
from edge_pipeline.artifact.store import Artifact
from edge_pipeline.errors import ArtifactError, InputError, RuntimeFailure, UnknownNameError
from edge_pipeline.registry import RUNTIMES
from edge_pipeline.runtime.base import (
    check_inputs,
    check_outputs,
    loads_from_memory,
    open_session,
)
from tests.fakes.artifacts import CALIBRATED, FILTER, make_artifact, make_files


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    return make_artifact(tmp_path_factory.mktemp("fake") / "artifact", filters="split")


@pytest.fixture(scope="module")
def spec() -> ProgramSpec:
    """`apply_filters`, of two inputs."""
    manifest, _ = make_files(filters="split")
    return manifest.programs[1]


def _inputs(height: int = 32, width: int = 48) -> dict[str, NDArray[np.float32]]:
    return {
        "packed": np.zeros((1, 4, height, width), np.float32),
        FILTER: np.zeros((1, 12, 4, 3, 3), np.float32),
    }


def test_opens_each_program(artifact: Artifact) -> None:
    for program in artifact.manifest.programs:
        inputs, expected = artifact.reference(program.name)
        with open_session(artifact, program.name, threads=1) as session:
            outputs = session.run(inputs)
        for name, value in expected.items():
            np.testing.assert_allclose(outputs[name], value, atol=1e-6)


@pytest.mark.parametrize("threads", [0, -1, 513])
def test_threads_that_nobody_has(artifact: Artifact, threads: int) -> None:
    with pytest.raises(InputError, match=f"threads must be from 1 to 512, got {threads}"):
        open_session(artifact, "apply_filters", threads=threads)


def test_unknown_program(artifact: Artifact) -> None:
    with pytest.raises(ArtifactError, match="no program 'forward'"):
        open_session(artifact, "forward", threads=1)


def test_unknown_backend(artifact: Artifact) -> None:
    manifest = artifact.manifest.model_copy(update={"backend": "abacus"})
    other = Artifact(artifact.folder, manifest, artifact.digest)
    with pytest.raises(UnknownNameError, match="no runtime is called 'abacus'"):
        open_session(other, "apply_filters", threads=1)


def test_constants_need_a_runtime_that_loads_from_memory(tmp_path: Path) -> None:
    artifact = make_artifact(tmp_path / "a", filters="refolded")
    manifest = artifact.manifest.model_copy(update={"backend": "coreml"})
    other = Artifact(artifact.folder, manifest, artifact.digest)
    with pytest.raises(RuntimeFailure, match=r"coreml loads programs from files only"):
        open_session(other, "forward", threads=1, constants={FILTER: CALIBRATED})


def test_all_runtimes_but_core_ml_load_from_memory() -> None:
    found = {name for name in RUNTIMES.names() if loads_from_memory(name)}
    assert found == set(RUNTIMES.names()) - {"coreml"}


def test_backends_without_a_runtime_load_nothing() -> None:
    assert not loads_from_memory("executorch_vulkan")


class TestInputs:
    def test_order_sizes_and_contiguity(self, spec: ProgramSpec) -> None:
        inputs = _inputs(48, 32)
        inputs["packed"] = np.zeros((1, 4, 32, 48), np.float32).swapaxes(2, 3)
        ordered, sizes = check_inputs(spec, dict(reversed(inputs.items())))
        assert [value.shape for value in ordered] == [(1, 4, 48, 32), (1, 12, 4, 3, 3)]
        assert all(value.flags.c_contiguous for value in ordered)
        assert sizes == {"h": 3, "w": 2}

    @pytest.mark.parametrize("name", ["packed", FILTER])
    def test_missing(self, spec: ProgramSpec, name: str) -> None:
        inputs = _inputs()
        del inputs[name]
        with pytest.raises(InputError, match=rf"expected the inputs packed, {FILTER}, got "):
            check_inputs(spec, inputs)

    def test_surplus(self, spec: ProgramSpec) -> None:
        with pytest.raises(InputError, match=r"got packed, hyper_conv0\.weight, more"):
            check_inputs(spec, {**_inputs(), "more": np.zeros(1, np.float32)})

    def test_type(self, spec: ProgramSpec) -> None:
        inputs = {name: value.astype(np.float64) for name, value in _inputs().items()}
        with pytest.raises(InputError, match="packed as float32, got float64"):
            check_inputs(spec, inputs)  # type: ignore[arg-type]

    @pytest.mark.parametrize(("height", "width"), [(32, 40), (33, 32), (0, 32)])
    def test_size_that_is_no_multiple(self, spec: ProgramSpec, height: int, width: int) -> None:
        message = rf"packed as 1x4x16\*hx16\*w, got 1x4x{height}x{width}"
        with pytest.raises(InputError, match=message):
            check_inputs(spec, _inputs(height, width))


class TestOutputs:
    def test_by_name(self, spec: ProgramSpec) -> None:
        value = np.ones((1, 3, 64, 96), np.float32)
        assert check_outputs(spec, [value], {"h": 2, "w": 3})["rgb"] is value

    def test_count(self, spec: ProgramSpec) -> None:
        with pytest.raises(RuntimeFailure, match="returned 0 outputs; the manifest lists 1"):
            check_outputs(spec, [], {})

    def test_size_that_belongs_to_another_input(self, spec: ProgramSpec) -> None:
        value = np.ones((1, 3, 96, 64), np.float32)
        with pytest.raises(RuntimeFailure, match="returned rgb as float32 1x3x96x64"):
            check_outputs(spec, [value], {"h": 2, "w": 3})
