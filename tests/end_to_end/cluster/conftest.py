"""Schedulers, captures and the command for batches on a cluster."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_pipeline.cli.main import main
from tests.fakes.artifacts import make_artifact
from tests.fakes.batches import Develop, captures, contents
from tests.fakes.dask_cluster import DaskCluster


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(make_artifact(tmp_path_factory.mktemp("model") / "split", filters="split").folder)


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaskCluster]:
    made = DaskCluster(tmp_path_factory.mktemp("dask"))
    yield made
    made.close()


@pytest.fixture
def cluster(shared: DaskCluster) -> Iterator[DaskCluster]:
    """A scheduler without workers."""
    yield shared
    shared.remove_workers()


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaskCluster]:
    """A scheduler with one worker, which no test changes."""
    made = DaskCluster(tmp_path_factory.mktemp("served"))
    made.add_worker()
    yield made
    made.close()


@pytest.fixture
def own(tmp_path: Path) -> Iterator[DaskCluster]:
    """A scheduler that gives a task up after two lost workers."""
    (tmp_path / "dask").mkdir()
    made = DaskCluster(
        tmp_path / "dask", environment={"DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "1"}
    )
    yield made
    made.close()


@pytest.fixture
def develop(capsys: pytest.CaptureFixture[str]) -> Develop:
    """The command in this process: its exit code, output and errors."""

    def run(model: str, *words: object) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main(["develop", *map(str, words), "--model", model])
        return code, *capsys.readouterr()

    return run


@pytest.fixture
def card(tmp_path: Path) -> Path:
    return captures(tmp_path / "card", ("a.dng", "b.dng", "c.dng"), 32, 48)


@pytest.fixture(scope="session")
def dozen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve different captures; a worker with the preload SLOW takes a while for each."""
    names = [f"n{i:02}.dng" for i in range(12)]
    return captures(tmp_path_factory.mktemp("dozen"), names, 160, 200)


@pytest.fixture(scope="session")
def expected(model: str, dozen: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The dozen's pictures as this machine develops them."""
    out = tmp_path_factory.mktemp("local")
    assert main(["develop", str(dozen), "-o", str(out), "--model", model]) == 0
    return contents(out)
