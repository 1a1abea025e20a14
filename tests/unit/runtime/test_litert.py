"""LiteRT: right, refused in one sentence, and quiet."""

import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("litert_torch", reason="the litert extra is not installed")

from edge_pipeline.artifact.manifest import ProgramSpec
from edge_pipeline.artifact.store import Artifact
from edge_pipeline.artifact.tensors import TensorSpec
from edge_pipeline.errors import InputError, MissingExtraError, RuntimeFailure
from edge_pipeline.runtime.base import open_session
from edge_pipeline.runtime.litert import open_session as open_litert


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    from tests.fakes.litert import make_litert_artifact

    return make_litert_artifact(tmp_path_factory.mktemp("fake") / "artifact")


@pytest.fixture
def spec(artifact: Artifact) -> ProgramSpec:
    return artifact.program("forward")


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_right_with_any_number_of_threads(artifact: Artifact, threads: int) -> None:
    inputs, expected = artifact.reference("forward")
    with open_session(artifact, "forward", threads=threads) as session:
        rgb = session.run(inputs)["rgb"]
    np.testing.assert_allclose(rgb, expected["rgb"], atol=1e-6)


def test_tensors_go_by_name_in_the_manifests_order(tmp_path: Path) -> None:
    from tests.fakes.litert import two_by_two

    def tensors(**sizes: int) -> tuple[TensorSpec, ...]:
        return tuple(
            TensorSpec(name=n.replace("_", "."), shape=(1, s), layout="NC", meaning="a test's")
            for n, s in sizes.items()
        )

    (tmp_path / "m.tflite").write_bytes(two_by_two())
    a, b = np.ones((1, 3), np.float32), np.zeros((1, 2), np.float32)
    for inputs, outputs in (
        (tensors(a=3, b=2), tensors(y=2, z_sum=1)),
        (tensors(b=2, a=3), tensors(z_sum=1, y=2)),
    ):
        spec = ProgramSpec.model_construct(name="forward", inputs=inputs, outputs=outputs)
        with open_litert(tmp_path / "m.tflite", spec, 1) as session:
            found = session.run({"a": a, "b": b})
        assert list(found) == [t.name for t in outputs]
        np.testing.assert_array_equal(found["z.sum"], [[3]])
        np.testing.assert_array_equal(found["y"], [[1, 1]])


def test_takes_views_and_arrays_that_are_read_only(artifact: Artifact) -> None:
    inputs, expected = artifact.reference("forward")
    packed = np.ascontiguousarray(inputs["packed"].swapaxes(2, 3)).swapaxes(2, 3)
    packed.flags.writeable = False
    with open_session(artifact, "forward", threads=1) as session:
        rgb = session.run({"packed": packed})["rgb"]
    np.testing.assert_allclose(rgb, expected["rgb"], atol=1e-6)


def test_outputs_are_the_callers(artifact: Artifact) -> None:
    inputs, expected = artifact.reference("forward")
    with open_session(artifact, "forward", threads=1) as session:
        first = session.run(inputs)["rgb"]
        session.run({"packed": inputs["packed"] * 0})
    first += 0  # may be written to, and outlives the session
    np.testing.assert_allclose(first, expected["rgb"], atol=1e-6)


def test_runs_from_several_threads(artifact: Artifact) -> None:
    inputs, expected = artifact.reference("forward")
    found = []
    with open_session(artifact, "forward", threads=1) as session:
        workers = [
            threading.Thread(target=lambda: found.append(session.run(inputs)["rgb"]))
            for _ in range(4)
        ]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    assert len(found) == 4
    for rgb in found:
        np.testing.assert_allclose(rgb, expected["rgb"], atol=1e-6)


def test_wrong_input_is_refused_before_the_run(artifact: Artifact) -> None:
    with open_session(artifact, "forward", threads=1) as session:
        with pytest.raises(InputError, match="1x4x32x48, got 1x4x48x32"):
            session.run({"packed": np.zeros((1, 4, 48, 32), np.float32)})
        session.run(artifact.reference("forward")[0])


def test_closed(artifact: Artifact) -> None:
    session = open_session(artifact, "forward", threads=1)
    session.close()
    session.close()
    with pytest.raises(RuntimeFailure, match="session of forward is closed"):
        session.run(artifact.reference("forward")[0])


class TestFiles:
    @pytest.mark.parametrize("content", [b"", b"not a model", bytes(range(256)) * 10])
    def test_that_are_no_program(self, tmp_path: Path, spec: ProgramSpec, content: bytes) -> None:
        (tmp_path / "m.tflite").write_bytes(content)
        with pytest.raises(RuntimeFailure, match=r"m\.tflite is not a TensorFlow Lite program"):
            open_litert(tmp_path / "m.tflite", spec, 1)

    @pytest.mark.parametrize("size", [8, 40, 400, -10])
    def test_truncated(
        self, artifact: Artifact, tmp_path: Path, spec: ProgramSpec, size: int
    ) -> None:
        content = artifact.path("forward.tflite").read_bytes()
        (tmp_path / "m.tflite").write_bytes(content[:size])
        with pytest.raises(RuntimeFailure, match=r"could not load .*m\.tflite: ") as caught:
            open_litert(tmp_path / "m.tflite", spec, 1)
        assert "\n" not in str(caught.value)

    def test_absent(self, tmp_path: Path, spec: ProgramSpec) -> None:
        with pytest.raises(RuntimeFailure, match="No such file"):
            open_litert(tmp_path / "m.tflite", spec, 1)

    def test_with_other_tensors_than_the_manifest(
        self, artifact: Artifact, spec: ProgramSpec
    ) -> None:
        path, given = artifact.path("forward.tflite"), spec.inputs[0]
        other = given.model_copy(update={"shape": (1, 4, 48, 32)})
        with pytest.raises(RuntimeFailure, match=r"packed as float32 1x4x32x48; .* 1x4x48x32"):
            open_litert(path, spec.model_copy(update={"inputs": (other,)}), 1)
        renamed = given.model_copy(update={"name": "image"})
        with pytest.raises(RuntimeFailure, match="inputs packed; the manifest lists image"):
            open_litert(path, spec.model_copy(update={"inputs": (renamed,)}), 1)


def test_package_missing(artifact: Artifact, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    with pytest.raises(MissingExtraError, match=r"edge-pipeline\[litert\]"):
        open_session(artifact, "forward", threads=1)


def test_says_nothing(artifact: Artifact, tmp_path: Path) -> None:
    """In a process of its own, since the library logs once, past `sys.stderr`."""
    (tmp_path / "bad.tflite").write_bytes(artifact.path("forward.tflite").read_bytes()[:400])
    script = f"""
from pathlib import Path
from edge_pipeline.artifact.store import Artifact
from edge_pipeline.errors import RuntimeFailure
from edge_pipeline.runtime.base import open_session
from edge_pipeline.runtime.litert import open_session as open_litert
artifact = Artifact.open({str(artifact.folder)!r})
inputs, _ = artifact.reference("forward")
with open_session(artifact, "forward", threads=2) as session:
    session.run(inputs)
for path in (Path({str(tmp_path / "bad.tflite")!r}), Path("absent.tflite")):
    try:
        open_litert(path, artifact.program("forward"), 1)
    except RuntimeFailure:
        pass
    else:
        raise SystemExit("no failure")
import sys
assert "torch" not in sys.modules and "tensorflow" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
