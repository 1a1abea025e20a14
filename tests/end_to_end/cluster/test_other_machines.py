"""Workers that lack a file, a folder, the model or the version of the client."""

from pathlib import Path

import pytest

from tests.fakes.artifacts import make_artifact
from tests.fakes.batches import Develop, contents, ended, started
from tests.fakes.dask_cluster import DaskCluster

pytest.importorskip("distributed", reason="the extra `distributed` is not installed")


# The working folder of the process that opens it: each worker finds another file at this path.
HERE = Path("/proc/self/cwd")
# Makes a process unable to import the package.
ABSENT = "import sys; sys.modules['edge_pipeline'] = None"
here = pytest.mark.skipif(not HERE.exists(), reason="requires Linux's /proc")


@here
def test_a_capture_that_a_worker_does_not_see_names_the_worker(
    served: DaskCluster,
    model: str,
    card: Path,
    tmp_path: Path,
    develop: Develop,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out = tmp_path / "out"
    monkeypatch.chdir(card)
    words = [HERE / "a.dng", card / "b.dng", "-o", out]
    code, said, err = develop(model, *words, "--scheduler", served.address)
    assert code == 2
    assert err.startswith("error: worker tcp://127.0.0.1:")
    assert "cannot read /proc/self/cwd/a.dng: No such file or directory; all machines must" in err
    assert err.count("\n") == 1
    assert said.splitlines()[-1] == "1 developed, 0 existed, 1 failed"
    assert sorted(contents(out)) == ["b.jpg"]


@here
def test_a_folder_that_a_worker_does_not_see_stops_the_batch(
    served: DaskCluster,
    model: str,
    card: Path,
    tmp_path: Path,
    develop: Develop,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    words = [card, "-o", HERE / "out", "--scheduler", served.address]
    code, said, err = develop(model, *words)
    assert (code, said, err.count("\n")) == (2, "", 1)
    assert err.startswith("error: worker tcp://127.0.0.1:")
    assert "does not see the folder /proc/self/cwd/out of this machine" in err
    assert not (tmp_path / "out").exists()


@here
def test_another_model_on_a_worker_stops_the_batch(
    served: DaskCluster,
    card: Path,
    tmp_path: Path,
    develop: Develop,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make_artifact(tmp_path / "model", filters="split")
    make_artifact(served.newest / "model", filters="folded")
    monkeypatch.chdir(tmp_path)
    words = [card, "-o", tmp_path / "out", "--scheduler", served.address]
    code, said, err = develop(str(HERE / "model"), *words)
    assert (code, said, err.count("\n")) == (2, "", 1)
    assert "the model /proc/self/cwd/model is not that of this machine" in err


@pytest.mark.parametrize(
    ("preload", "said"),
    [
        (
            "import edge_pipeline; edge_pipeline.__version__ = '0.0.9'",
            "has edge-pipeline 0.0.9, this machine has ",
        ),
        (ABSENT, "has no edge-pipeline; install the same version with the extra distributed"),
    ],
)
def test_another_version_on_a_worker_stops_the_batch(
    cluster: DaskCluster,
    model: str,
    card: Path,
    tmp_path: Path,
    develop: Develop,
    preload: str,
    said: str,
) -> None:
    worker = cluster.add_worker(preload=preload)
    words = [card, "-o", tmp_path / "out", "--scheduler", cluster.address]
    code, out, err = develop(model, *words)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("error: worker tcp://127.0.0.1:")
    assert said in err
    assert worker.poll() is None
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_scheduler_without_the_package_stops_the_batch(
    model: str, card: Path, tmp_path: Path
) -> None:
    (tmp_path / "dask").mkdir()
    bare = DaskCluster(tmp_path / "dask", preload=ABSENT)
    try:
        bare.add_worker()
        words = [card, "-o", tmp_path / "out", "--scheduler", bare.address]
        code, out, err = ended(started(model, *words))
    finally:
        bare.close()
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert f"the scheduler at {bare.address} cannot load the task; install edge-pipeline " in err
