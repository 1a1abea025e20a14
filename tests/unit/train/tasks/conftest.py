import shutil

import pytest

from tests.fakes.trainings import write_discs


@pytest.fixture(scope="module")
def discs(tmp_path_factory):
    return write_discs(tmp_path_factory.mktemp("discs") / "set")


@pytest.fixture
def own(discs, tmp_path):
    """A copy of the data set that a test may damage."""
    return shutil.copytree(discs, tmp_path / "own")
