"""Choosing processors, and reading what the machine tells."""

import os

from hypothesis import given
from hypothesis import strategies as st

from edge_pipeline.harness.machine import (
    allowed_cpus,
    busy_percent,
    choose_cpus,
    cores_of,
    cpu_name,
    logical_cpus,
)


def test_different_cores_come_before_idle_siblings():
    busy = {0: 50.0, 1: 60.0, 2: 0.0, 3: 0.0}
    cores = {0: "0,1", 1: "0,1", 2: "2,3", 3: "2,3"}
    assert choose_cpus(busy, cores, 1) == [2]
    assert choose_cpus(busy, cores, 2) == [0, 2]
    assert choose_cpus(busy, cores, 3) == [0, 2, 3]


@given(st.data())
def test_as_many_as_asked_and_no_core_twice_while_one_is_free(data):
    cpus = range(data.draw(st.integers(1, 12)))
    busy = {cpu: data.draw(st.floats(0, 100)) for cpu in cpus}
    cores = {cpu: str(data.draw(st.integers(0, 5))) for cpu in cpus}
    count = data.draw(st.integers(1, len(busy)))
    chosen = choose_cpus(busy, cores, count)
    assert len(set(chosen)) == len(chosen) == count
    assert len({cores[cpu] for cpu in chosen}) == min(count, len(set(cores.values())))
    if count == 1:
        assert busy[chosen[0]] == min(busy.values())


def test_this_machine_is_described():
    allowed = allowed_cpus()
    assert 1 <= len(allowed) <= logical_cpus()
    assert logical_cpus() == os.cpu_count()
    assert set(busy_percent(allowed)) == set(cores_of(allowed)) == set(allowed)
    assert cpu_name()
