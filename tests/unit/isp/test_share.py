"""Cores and memory are shared among captures."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_pipeline.cores import usable_cores
from edge_pipeline.errors import InputError
from edge_pipeline.isp.share import Share, share_cores

GB = 10**9


@given(
    st.integers(1, 100), st.integers(1, 128), st.integers(0, 200), st.none() | st.integers(1, 64)
)
def test_a_choice_never_exceeds_cores_captures_or_memory(
    count: int, cores: int, gigabytes: int, threads: int | None
) -> None:
    captures = [Path("nowhere")] * count
    share = share_cores(
        captures, jobs=None, threads=threads, cores=cores, memory_bytes=gigabytes * GB
    )
    assert 1 <= share.jobs <= count
    assert share.jobs * share.threads <= max(cores, threads or 1)
    assert share.jobs == 1 or share.jobs * 4 * GB // 10 <= gigabytes * GB
    if threads is not None:
        assert share.threads == threads


def test_large_captures_get_fewer_jobs(tmp_path: Path) -> None:
    capture = tmp_path / "a.dng"
    with capture.open("wb") as file:
        file.truncate(100_000_000)
    captures = [capture] * 8
    share = share_cores(captures, jobs=None, threads=None, cores=8, memory_bytes=3 * GB)
    assert share == Share(2, 4)
    assert share_cores(captures, jobs=None, threads=None, cores=8, memory_bytes=99 * GB).jobs == 8


def test_stated_numbers_are_used() -> None:
    assert share_cores([Path("a")] * 9, jobs=3, threads=4, cores=2) == Share(3, 4)
    assert share_cores([Path("a")] * 9, jobs=2, threads=None, cores=8) == Share(2, 4)
    assert share_cores([Path("a")], jobs=4, threads=None, cores=8) == Share(1, 8)


def test_no_job_is_refused() -> None:
    with pytest.raises(InputError, match="give --jobs 1 or more"):
        share_cores([Path("a")], jobs=0, threads=None)


def test_there_are_cores() -> None:
    assert usable_cores() >= 1
