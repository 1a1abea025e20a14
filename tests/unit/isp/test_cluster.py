"""Addresses of schedulers, and tasks as plain data."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_pipeline import errors
from edge_pipeline.errors import EdgePipelineError, InputError
from edge_pipeline.isp.batch import BatchOptions
from edge_pipeline.isp.cluster_task import BatchTask
from edge_pipeline.isp.scheduler import check_address
from edge_pipeline.isp.settings import Settings
from edge_pipeline.raw.profile import CameraProfile

_GAINS = st.tuples(*[st.floats(0.1, 8)] * 3)


@st.composite
def profiles(draw: st.DrawFn) -> CameraProfile:
    return CameraProfile(
        width=draw(st.integers(2, 9000)),
        height=draw(st.integers(2, 9000)),
        bits=12,
        cfa=draw(st.sampled_from(["RGGB", "BGGR"])),
        black=draw(st.tuples(*[st.floats(0, 1000)] * 4)),
        wb=draw(st.none() | _GAINS),
        xyz_to_camera=draw(st.none() | st.tuples(_GAINS, _GAINS, _GAINS)),
    )


settings = st.builds(
    Settings,
    exposure_ev=st.floats(-16, 16),
    white_balance=st.sampled_from(["as-shot", "2,1,1.5"]),
    grain=st.floats(0, 1),
    size=st.sampled_from(["full", "half"]),
    profile=st.none() | profiles(),
)
options = st.builds(
    BatchOptions,
    model=st.none() | st.just(Path("/models/one")),
    jobs=st.none() | st.integers(1, 64),
    threads=st.integers(1, 64),
    timeout_s=st.floats(0.1, 86400),
    max_pixels=st.integers(1, 10**9),
    sidecar=st.booleans(),
    force=st.booleans(),
)


@given(settings, options)
def test_a_task_reaches_the_worker_unchanged(settings: Settings, options: BatchOptions) -> None:
    task = BatchTask("1.2.3", "0a1b", Path("/pictures/.token"), settings, options)
    assert BatchTask.unpacked(json.loads(json.dumps(task.packed()))) == task


@pytest.mark.parametrize(
    "address", ["tcp://127.0.0.1:8786", "tls://host.example:1", "tcp://[::1]:65535", "tcp://a-b:80"]
)
def test_addresses_of_schedulers(address: str) -> None:
    check_address(address)


@pytest.mark.parametrize(
    "address",
    [
        *("", "host", "host:1", "tcp://host", "tcp://:1", "tcp://h:0", "tcp://h:65536"),
        *("http://h:1", "tcp://h:1/", "tcp://h:1 ", "tcp://h h:1", "tcp://::1:1", "tcp://h:\u0661"),
    ],
)
def test_other_addresses_are_refused(address: str) -> None:
    with pytest.raises(InputError, match="give tcp://HOST:PORT or tls://HOST:PORT"):
        check_address(address)


def test_errors_are_rebuilt_by_their_class() -> None:
    """Every error takes one message, as `_unpacked` assumes."""
    kinds: list[Any] = [getattr(errors, name) for name in errors.__all__ if name[0].isupper()]
    assert kinds
    for kind in kinds:
        assert issubclass(kind, EdgePipelineError)
        assert str(kind("said")) == "said"
