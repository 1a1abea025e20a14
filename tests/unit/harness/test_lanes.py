"""Devices that work at the same time, and those that do not."""

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_pipeline.errors import InputError
from edge_pipeline.harness.lanes import lanes_of, run_lanes

NAMES = ("host", "cuda", "cuda:fp16", "emulator", "adb", "adb:1", "adb:2", "ssh:a", "x86_epyc")


@pytest.mark.parametrize(
    ("devices", "lanes"),
    [
        (["host", "adb:1", "emulator", "ssh:a"], [["host", "emulator"], ["adb:1"], ["ssh:a"]]),
        (["adb:1", "adb:2"], [["adb:1"], ["adb:2"]]),
        (["adb:1", "adb", "ssh:a"], [["adb:1", "adb"], ["ssh:a"]]),  # adb may be adb:1
        (["cuda", "cuda:compile"], [["cuda", "cuda:compile"]]),
    ],
)
def test_devices_that_could_be_one_share_a_lane(devices, lanes):
    assert lanes_of(devices) == lanes


def test_a_device_is_measured_once():
    with pytest.raises(InputError, match="host and host are the same"):
        lanes_of(["host", "host"])
    with pytest.raises(InputError, match="host and x86_epyc are the same"):
        lanes_of(["host", "adb:1", "x86_epyc"])  # the profile of this machine


@given(st.lists(st.sampled_from(NAMES), unique=True))
def test_every_device_is_in_one_lane(devices):
    if {"host", "x86_epyc"} <= set(devices):
        return
    lanes = lanes_of(devices)
    assert sorted(name for lane in lanes for name in lane) == sorted(devices)


def test_an_error_stops_the_other_lanes():
    stop = threading.Event()

    def measure(lane):
        if lane == ["bad"]:
            raise ValueError("bad")
        assert stop.wait(20)

    with pytest.raises(ValueError, match="bad"):
        run_lanes([["bad"], ["good"]], measure, stop)
