"""ONNX Runtime: right, refused in one sentence, and quiet."""

import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_pipeline.artifact.store import Artifact
from edge_pipeline.errors import InputError, MissingExtraError, RuntimeFailure
from edge_pipeline.runtime import onnx as runtime_onnx
from edge_pipeline.runtime.base import open_session
from edge_pipeline.runtime.onnx import open_session as open_onnx
from tests.fakes.artifacts import (
    FILTER,
    apply_filters,
    demosaic_weight,
    make_artifact,
    make_files,
    predict_filters,
    reference_input,
)


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    return make_artifact(tmp_path_factory.mktemp("fake") / "artifact", filters="split")


@given(st.integers(2, 6), st.integers(2, 6), st.integers(1, 2), st.integers(0, 99))
def test_agrees_with_numpy(
    split: Artifact, rows: int, columns: int, threads: int, seed: int
) -> None:
    packed = reference_input(16 * rows, 16 * columns, seed=seed)
    with open_session(split, "predict_filters", threads=threads) as session:
        filters = session.run({"packed": packed})[FILTER]
    with open_session(split, "apply_filters", threads=threads) as session:
        rgb = session.run({"packed": packed, FILTER: filters})["rgb"]
    expected = predict_filters(packed)
    np.testing.assert_allclose(filters, expected, atol=1e-6)
    np.testing.assert_allclose(rgb, apply_filters(packed, expected), atol=1e-6)


def test_takes_views(split: Artifact) -> None:
    packed = reference_input(48, 32).swapaxes(2, 3)
    with open_session(split, "predict_filters", threads=1) as session:
        filters = session.run({"packed": packed})[FILTER]
    np.testing.assert_allclose(filters, predict_filters(packed), atol=1e-6)


def test_outputs_are_the_callers(split: Artifact) -> None:
    inputs, expected = split.reference("apply_filters")
    with open_session(split, "apply_filters", threads=1) as session:
        first = session.run(inputs)["rgb"]
        session.run({**inputs, "packed": inputs["packed"] * 0})
    first += 0  # may be written to, and outlives the session
    np.testing.assert_allclose(first, expected["rgb"], atol=1e-6)


def test_runs_from_several_threads(split: Artifact) -> None:
    inputs, expected = split.reference("apply_filters")
    found = []
    with open_session(split, "apply_filters", threads=1) as session:
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


def test_wrong_input_is_refused_before_the_run(split: Artifact) -> None:
    with open_session(split, "predict_filters", threads=1) as session:
        with pytest.raises(InputError, match="got 1x4x30x32"):
            session.run({"packed": np.zeros((1, 4, 30, 32), np.float32)})
        session.run({"packed": np.zeros((1, 4, 32, 32), np.float32)})


def test_closed(split: Artifact) -> None:
    session = open_session(split, "predict_filters", threads=1)
    session.close()
    session.close()
    with pytest.raises(RuntimeFailure, match="session of predict_filters is closed"):
        session.run({"packed": reference_input()})


@pytest.mark.parametrize("content", [b"", b"not a model", bytes(range(256)) * 10])
def test_file_that_is_no_model(tmp_path: Path, content: bytes) -> None:
    manifest, _ = make_files()
    (tmp_path / "m.onnx").write_bytes(content)
    with pytest.raises(RuntimeFailure, match=r"could not load .*m\.onnx: ") as caught:
        open_onnx(tmp_path / "m.onnx", manifest.programs[0], 1)
    assert "\n" not in str(caught.value)


def test_model_of_another_program(split: Artifact) -> None:
    manifest, _ = make_files(filters="folded")
    path = split.path("predict_filters.onnx")
    with pytest.raises(RuntimeFailure, match=f"outputs {FILTER}; the manifest lists rgb"):
        open_onnx(path, manifest.programs[0], 1)


def test_failure_while_running(tmp_path: Path) -> None:
    """The file has fixed sizes and the manifest promises free ones."""
    _, fixed = make_files(size=(32, 32))
    free, _ = make_files()
    (tmp_path / "m.onnx").write_bytes(fixed["forward.onnx"])
    with (
        open_onnx(tmp_path / "m.onnx", free.programs[0], 1) as session,
        pytest.raises(RuntimeFailure, match="could not run forward: ") as caught,
    ):
        session.run({"packed": reference_input(48, 32)})
    assert "\n" not in str(caught.value)


def test_package_missing(split: Artifact, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingExtraError, match="requires the package onnxruntime"):
        open_session(split, "predict_filters", threads=1)


def test_says_nothing(split: Artifact, tmp_path: Path) -> None:
    """In a process of its own, since the library writes past `sys.stderr`."""
    _, fixed = make_files(size=(32, 32))
    (tmp_path / "fixed.onnx").write_bytes(fixed["forward.onnx"])
    script = f"""
from pathlib import Path
from edge_pipeline.artifact.store import Artifact
from edge_pipeline.errors import RuntimeFailure
from edge_pipeline.runtime import onnx as runtime_onnx
from edge_pipeline.runtime.base import open_session
from edge_pipeline.runtime.onnx import open_session as open_onnx
from tests.fakes.artifacts import make_files, reference_input
artifact = Artifact.open({str(split.folder)!r})
inputs, _ = artifact.reference("apply_filters")
with open_session(artifact, "apply_filters", threads=3) as session:
    session.run(inputs)
spec = make_files()[0].programs[0]
for path in (Path({str(tmp_path / "fixed.onnx")!r}), Path("absent.onnx")):
    try:
        open_onnx(path, spec, 1).run({{"packed": reference_input(48, 32)}})
    except RuntimeFailure:
        pass
    else:
        raise SystemExit("no failure")
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_weights_in_a_file_of_their_own(tmp_path: Path) -> None:
    manifest, files = make_files(size=(32, 32))
    model = onnx.load_from_string(files["forward.onnx"])
    path = tmp_path / "forward.onnx"
    onnx.save(model, path, save_as_external_data=True, location="weights", size_threshold=0)
    packed = reference_input(32, 32)
    with open_onnx(path, manifest.programs[0], 1) as session:
        found = session.run({"packed": packed})["rgb"]
    np.testing.assert_allclose(found, apply_filters(packed, demosaic_weight(1)[None]), atol=1e-6)
    weights = (tmp_path / "weights").read_bytes()
    (tmp_path / "weights").unlink()
    with pytest.raises(RuntimeFailure, match=r"could not load .*forward\.onnx: "):
        open_onnx(path, manifest.programs[0], 1)
    # From memory, with the model from the file or from memory too.
    old, new = demosaic_weight(1), 3 * demosaic_weight(1)
    spec = manifest.programs[0].model_copy(update={"extra": ("weights",)})
    replaced = {"weights": weights.replace(old.tobytes(), new.tobytes())}
    for content in (replaced, replaced | {"forward.onnx": path.read_bytes()}):
        with open_onnx(path, spec, 1, content) as session:
            found = session.run({"packed": packed})["rgb"]
        np.testing.assert_allclose(found, apply_filters(packed, new[None]), atol=1e-6)


def test_a_model_in_memory_finds_the_weights_beside_its_file(tmp_path: Path) -> None:
    manifest, files = make_files(size=(32, 32))
    path = tmp_path / "forward.onnx"
    model = onnx.load_from_string(files["forward.onnx"])
    onnx.save(model, path, save_as_external_data=True, location="weights", size_threshold=0)
    content = path.read_bytes()
    path.unlink()
    packed = reference_input(32, 32)
    with open_onnx(path, manifest.programs[0], 1, {"forward.onnx": content}) as session:
        found = session.run({"packed": packed})["rgb"]
    np.testing.assert_allclose(found, apply_filters(packed, demosaic_weight(1)[None]), atol=1e-6)


def test_a_version_that_takes_no_weights_from_memory() -> None:
    class Old:
        __version__ = "1.20.0"

    with pytest.raises(
        RuntimeFailure, match=r"onnxruntime 1\.20\.0 cannot load weights from memory"
    ):
        runtime_onnx._register_weights(Old, object(), {"weights": b""})
