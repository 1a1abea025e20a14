"""Settings for every test: the same examples each time, no time limits on them."""

import gc
import os
import sys
from collections.abc import Iterator

import hypothesis
import pytest

from edge_pipeline.registry import MODELS
from tests.adb_bed.fixtures import (  # noqa: F401
    adb_bed,
    adb_device,
    adb_server,
    connect_adb_device,
)
from tests.selection import PROFILES
from tests.shared import SharedArtifacts

for _name, _count in PROFILES.items():
    hypothesis.settings.register_profile(
        _name, derandomize=True, deadline=None, max_examples=_count
    )
hypothesis.settings.load_profile("fast")
# torch keeps millions of objects alive; looking through them after every few hundred new ones takes
# a tenth of a compilation.
gc.set_threshold(50_000, 20, 50)


def pytest_collection_finish() -> None:
    """Exempt all that is imported from collections of garbage.

    Converters of Core ML and LiteRT collect after each conversion, for half of its time otherwise.
    """
    gc.collect()
    gc.freeze()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Let torch and the converters do what they repeat once, as soon as they are imported."""
    if sys.modules.get("torch"):
        from tests.quick_export import make_exports_quick

        make_exports_quick()


@pytest.fixture(scope="module")
def small_isp() -> Iterator[str]:
    """The name of the registered `tests.fakes.small_isp`, for tests of this module."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(MODELS._modules, "small_isp", "tests.fakes.small_isp")
        yield "small_isp"


@pytest.fixture(scope="session")
def shared_artifacts(tmp_path_factory: pytest.TempPathFactory) -> SharedArtifacts:
    """Compiles what several tests read once for all workers; see `tests.shared`."""
    folder = tmp_path_factory.getbasetemp()
    # Each worker's folder lies in the one of the run.
    run = folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder
    return SharedArtifacts(run / "artifacts")
