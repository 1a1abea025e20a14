"""ExecuTorch: right, its threads pinned, its crashes kept away, and quiet."""

import gc
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edge_pipeline.artifact.manifest import ProgramSpec
from edge_pipeline.artifact.store import Artifact
from edge_pipeline.errors import InputError, MissingExtraError, RuntimeFailure
from edge_pipeline.runtime.base import open_session
from edge_pipeline.runtime.executorch import open_session as open_executorch

pytest.importorskip("executorch", reason="the extra executorch is not installed")
BINDING = "executorch.extension.pybindings._portable_lib"


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Artifact]:
    from tests.fakes.executorch import make_executorch_artifact

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own
        yield make_executorch_artifact(tmp_path_factory.mktemp("fake") / "artifact")


@pytest.fixture
def spec(artifact: Artifact) -> ProgramSpec:
    return artifact.program("forward")


def _pool_size() -> int:
    return int(sys.modules[BINDING]._threadpool_get_thread_count())


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_right_with_the_threads_asked_for(artifact: Artifact, threads: int) -> None:
    inputs, expected = artifact.reference("forward")
    with open_session(artifact, "forward", threads=threads) as session:
        assert _pool_size() == threads
        rgb = session.run(inputs)["rgb"]
    np.testing.assert_allclose(rgb, expected["rgb"], atol=1e-6)


def test_one_pool_for_all_sessions(artifact: Artifact) -> None:
    inputs, expected = artifact.reference("forward")
    with open_session(artifact, "forward", threads=2) as first:
        with open_session(artifact, "forward", threads=2) as second:
            np.testing.assert_allclose(second.run(inputs)["rgb"], expected["rgb"], atol=1e-6)
        with pytest.raises(RuntimeFailure, match="uses it with 2 threads; close that session"):
            open_session(artifact, "forward", threads=1)
        assert _pool_size() == 2
        np.testing.assert_allclose(first.run(inputs)["rgb"], expected["rgb"], atol=1e-6)
    with open_session(artifact, "forward", threads=1):
        assert _pool_size() == 1


def test_dropped_session_frees_the_pool(artifact: Artifact) -> None:
    session = open_session(artifact, "forward", threads=2)
    session.run(artifact.reference("forward")[0])
    del session
    gc.collect()
    with open_session(artifact, "forward", threads=1):
        assert _pool_size() == 1


def test_outputs_are_the_callers(artifact: Artifact) -> None:
    inputs, expected = artifact.reference("forward")
    with open_session(artifact, "forward", threads=1) as session:
        first = session.run(inputs)["rgb"]
        session.run({"packed": inputs["packed"] * 0})
    first += 0  # may be written to, and outlives the session
    np.testing.assert_allclose(first, expected["rgb"], atol=1e-6)


def test_inputs_may_be_views_and_read_only(artifact: Artifact) -> None:
    inputs, expected = artifact.reference("forward")
    packed = np.ascontiguousarray(inputs["packed"].swapaxes(2, 3)).swapaxes(2, 3)
    packed.flags.writeable = False
    inputs["packed"].flags.writeable = False
    with (
        open_session(artifact, "forward", threads=1) as session,
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("error")
        for value in (packed, inputs["packed"]):
            rgb = session.run({"packed": value})["rgb"]
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
    @pytest.mark.parametrize("content", [b"", b"PK", bytes(range(128, 256)) * 40])
    def test_that_are_no_program(self, tmp_path: Path, spec: ProgramSpec, content: bytes) -> None:
        """Read by ExecuTorch itself, the last of these ends the process."""
        (tmp_path / "m.pte").write_bytes(content)
        with pytest.raises(RuntimeFailure, match=r"m\.pte is not an ExecuTorch program"):
            open_executorch(tmp_path / "m.pte", spec, 1)

    @pytest.mark.parametrize("size", [8, 40, 2000, -10])
    def test_truncated(self, artifact: Artifact, tmp_path: Path, size: int) -> None:
        content = artifact.path("forward.pte").read_bytes()
        (tmp_path / "m.pte").write_bytes(content[:size])
        with pytest.raises(RuntimeFailure, match=r"could not load .*m\.pte: .*file") as caught:
            open_executorch(tmp_path / "m.pte", artifact.program("forward"), 1)
        assert "\n" not in str(caught.value)

    def test_absent(self, tmp_path: Path, spec: ProgramSpec) -> None:
        with pytest.raises(RuntimeFailure, match="No such file"):
            open_executorch(tmp_path / "m.pte", spec, 1)

    def test_with_other_sizes_than_the_manifest(
        self, artifact: Artifact, spec: ProgramSpec
    ) -> None:
        shape = (1, 4, 48, 32)
        other = spec.model_copy(
            update={"inputs": (spec.inputs[0].model_copy(update={"shape": shape}),)}
        )
        with pytest.raises(RuntimeFailure, match="do not match the manifest"):
            open_executorch(artifact.path("forward.pte"), other, 1)
        two = spec.model_copy(update={"inputs": spec.inputs * 2})
        with pytest.raises(RuntimeFailure, match="do not match the manifest"):
            open_executorch(artifact.path("forward.pte"), two, 1)


@pytest.mark.parametrize("module", ["torch", BINDING])
def test_package_missing(artifact: Artifact, monkeypatch: pytest.MonkeyPatch, module: str) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtraError, match=r"edge-pipeline\[executorch\]"):
        open_session(artifact, "forward", threads=1)


def test_stderr_is_given_back_and_others_may_use_it(
    artifact: Artifact, capfd: pytest.CaptureFixture[str]
) -> None:
    """While sessions run, another thread's progress bar goes on."""
    before = sys.stderr
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            sys.stderr.write(".")
            sys.stderr.flush()

    writer = threading.Thread(target=write)
    inputs, _ = artifact.reference("forward")
    writer.start()
    with open_session(artifact, "forward", threads=1) as session:
        for _ in range(20):
            session.run(inputs)
    stop.set()
    writer.join()
    assert sys.stderr is before
    assert set(capfd.readouterr().err) == {"."}


def test_says_nothing(artifact: Artifact, tmp_path: Path) -> None:
    """In a process of its own, where everything is imported and started for the first time."""
    (tmp_path / "m.pte").write_bytes(artifact.path("forward.pte").read_bytes()[:2000])
    script = f"""
import sys
from pathlib import Path
from edge_pipeline.artifact.store import Artifact
from edge_pipeline.errors import RuntimeFailure
from edge_pipeline.runtime.base import open_session
from edge_pipeline.runtime.executorch import open_session as open_executorch
artifact = Artifact.open({str(artifact.folder)!r})
inputs, _ = artifact.reference("forward")
with open_session(artifact, "forward", threads=2) as session:
    session.run(inputs)
open_session(artifact, "forward", threads=1).run(inputs)
try:
    open_executorch(Path({str(tmp_path / "m.pte")!r}), artifact.program("forward"), 1)
except RuntimeFailure:
    pass
else:
    raise SystemExit("no failure")
if "executorch.exir" in sys.modules:
    raise SystemExit("the exporter was imported")
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
