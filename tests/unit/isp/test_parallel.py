import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_pipeline.isp.parallel import in_order


@settings(max_examples=30, deadline=None)
@given(resources=st.integers(1, 5), items=st.lists(st.integers(), max_size=20))
def test_results_are_in_the_order_of_the_items(resources, items):
    busy, lock = set(), threading.Lock()

    def compute(resource, item):
        with lock:
            assert resource not in busy
            busy.add(resource)
        time.sleep(0.0005 * (item % 3))
        with lock:
            busy.remove(resource)
        return 2 * item

    assert list(in_order(compute, range(resources), items)) == [2 * item for item in items]


def test_items_are_computed_at_once():
    meeting = threading.Barrier(3, timeout=30)
    assert list(in_order(lambda _resource, _item: meeting.wait(), range(3), range(6)))


@pytest.mark.parametrize("resources", [1, 3])
def test_an_error_ends_the_work_and_leaves_no_thread(resources):
    begun = []

    def compute(_resource, item):
        begun.append(item)
        if item == 2:
            raise KeyError(item)
        return item

    before = threading.active_count()
    results = in_order(compute, range(resources), range(100))
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(KeyError):
        next(results)
    assert len(begun) <= 2 + 2 * resources
    assert threading.active_count() == before


def test_stopping_early_drops_what_was_not_begun():
    begun = []
    results = in_order(lambda _resource, item: begun.append(item), range(2), range(100))
    next(results)
    results.close()
    assert len(begun) <= 4
