"""A suite on devices that measure nothing: lanes, failures, stops and continuation."""

import threading

import pytest

pytest.importorskip("torch", reason="a suite compiles networks")

from edge_pipeline.errors import InputError, StoppedError
from edge_pipeline.record import read_records
from edge_pipeline.suite.matrix import Network, Protocol, Suite
from edge_pipeline.suite.running import RECORDS, Progress, run_suite
from tests.fakes.artifacts import make_artifact
from tests.fakes.devices import FakeDevice

QUICK = Protocol(runs=30, seconds=0, warmup=0)


@pytest.fixture(scope="module")
def networks(tmp_path_factory):
    folder = tmp_path_factory.mktemp("suite")
    forms = {"a": "folded", "b": "dynamic", "c": "split"}
    return tuple(
        Network(name=name, artifact=make_artifact(folder / name, filters=form).folder)
        for name, form in forms.items()
    )


def _suite(networks, *devices):
    return Suite(networks=networks, devices=devices, protocol=QUICK)


def _run(suite, folder, devices, progress=None, stop=None):
    return run_suite(
        suite, folder, devices.__getitem__, progress or Progress(), stop or threading.Event()
    )


def test_everything_is_measured_once_on_each_device(networks, tmp_path):
    devices = {name: FakeDevice(name) for name in ("host", "adb:1", "ssh:b")}
    result = _run(_suite(networks, *devices), tmp_path, devices)
    records = read_records(tmp_path / RECORDS)
    assert result.measured == len(records) == 3 * 4  # "c" has two programs
    assert (result.kept, result.wrong, result.failures) == (0, 0, {})
    assert {record.device for record in records} == set(devices)
    again = _run(_suite(networks, *devices), tmp_path, devices)
    assert (again.measured, again.kept) == (0, 12)


def test_a_device_has_the_name_of_its_records(networks, tmp_path):
    device = FakeDevice("adb:1")  # the only one, which `adb` means
    suite = _suite(networks, "adb")
    assert _run(suite, tmp_path, {"adb": device}).measured == 4
    again = _run(suite, tmp_path, {"adb": device})
    assert (again.measured, again.kept) == (0, 4)


def test_the_name_of_a_profile_is_that_of_its_device(networks, tmp_path):
    devices = {"host": FakeDevice("host"), "x86_epyc": FakeDevice("host")}
    with pytest.raises(InputError, match="host and x86_epyc are the same"):
        _run(_suite(networks, *devices), tmp_path, devices)
    (record, *_) = _records_with_peaks(networks, tmp_path)
    assert record.peaks is not None


def _records_with_peaks(networks, folder):
    _run(_suite(networks[:1], "x86_epyc"), folder, {"x86_epyc": FakeDevice("host")})
    return read_records(folder / RECORDS)


def test_devices_run_together_except_those_of_this_machine(networks, tmp_path):
    here, both = [], threading.Barrier(2, timeout=20)
    met = threading.Event()

    def local():
        here.append(threading.get_ident())

    def meet():
        if not met.is_set():
            both.wait()
            met.set()

    devices = {
        "host": FakeDevice("host", local),
        "emulator": FakeDevice("emulator", local),
        "adb:1": FakeDevice("adb:1", meet),
        "adb:2": FakeDevice("adb:2", meet),
    }
    _run(_suite(networks[:1], *devices), tmp_path, devices)
    assert met.is_set()
    assert len(set(here)) == 1


def test_a_device_that_fails_does_not_stop_the_others(networks, tmp_path):
    devices = {"host": FakeDevice("host"), "adb:1": FakeDevice("adb:1", backends=("litert",))}

    def opened(name):
        if name == "ssh:gone":
            raise InputError("no such host")
        return devices[name]

    failed = []
    progress = Progress(failed=lambda *words: failed.append(words))
    suite = _suite(networks[:1], "ssh:gone", *devices)
    result = run_suite(suite, tmp_path, opened, progress, threading.Event())
    assert result.measured == 1
    assert result.failures == {
        "a on ssh:gone": "no such host",
        "a on adb:1": "adb:1 cannot run onnx",
    }
    assert sorted(device for device, _, _ in failed) == ["adb:1", "ssh:gone"]


def test_a_stopped_suite_continues(networks, tmp_path):
    stop = threading.Event()
    progress = Progress(finished=lambda *_: stop.set())
    devices = {"host": FakeDevice("host")}
    with pytest.raises(StoppedError, match="the same command continues"):
        _run(_suite(networks, "host"), tmp_path, devices, progress, stop)
    assert len(read_records(tmp_path / RECORDS)) == 1
    assert devices["host"].state.value == "idle"
    result = _run(_suite(networks, "host"), tmp_path, devices)
    assert (result.measured, result.kept) == (3, 1)


def test_a_network_that_cannot_be_opened_is_named(networks, tmp_path):
    absent = Network(name="gone", artifact=tmp_path / "none")
    devices = {"host": FakeDevice("host")}
    result = _run(_suite((absent, networks[0]), "host"), tmp_path, devices)
    assert result.measured == 1
    assert list(result.failures) == ["gone on compiling"]


def test_networks_are_compiled_once(tmp_path):
    network = Network(
        name="small", source="phi_unet", options={"encoder": "2-2", "decoder": "2"}, size=(16, 16)
    )
    suite = Suite(networks=(network,), phi=(0.3, 0.5), protocol=QUICK)
    steps = []
    progress = Progress(step=lambda device, text: steps.append((device, text)))
    devices = {"host": FakeDevice("host")}
    result = _run(suite, tmp_path, devices, progress)
    assert result.measured == 2
    assert devices["host"].sessions == [["small-onnx-fp32-phi-0.3", "small-onnx-fp32-phi-0.5"]]
    assert [r.fixed["phi"] for r in read_records(tmp_path / RECORDS)] == [0.3, 0.5]
    compiled = [text for device, text in steps if device == "compiling"]
    assert len(compiled) == 2
    steps.clear()
    _run(suite, tmp_path, devices, progress)
    assert steps == []
