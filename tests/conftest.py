"""Settings for every test: the same examples each time, no time limits on them."""

import gc
from collections.abc import Iterator

import hypothesis
import pytest

from edge_pipeline.registry import MODELS
from tests.selection import PROFILES

for _name, _count in PROFILES.items():
    hypothesis.settings.register_profile(
        _name, derandomize=True, deadline=None, max_examples=_count
    )
hypothesis.settings.load_profile("fast")
# torch keeps millions of objects alive; looking through them after every few hundred new ones takes
# a tenth of a compilation.
gc.set_threshold(50_000, 20, 50)


@pytest.fixture(scope="module")
def small_isp() -> Iterator[str]:
    """The name of the registered `tests.fakes.small_isp`, for tests of this module."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(MODELS._modules, "small_isp", "tests.fakes.small_isp")
        yield "small_isp"
