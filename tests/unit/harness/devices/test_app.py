"""The Android app as a runner, against the ADB test bed with a scripted `am instrument`."""

import json

import pytest

pytest.importorskip("adbutils", reason="the extra devices is not installed")

from edge_pipeline.cli.main import main
from edge_pipeline.errors import InputError, JobError, RuntimeFailure
from edge_pipeline.harness.bench import Settings, bench
from edge_pipeline.harness.devices.adb import attached, open_device
from edge_pipeline.harness.devices.adb.instrumentation import (
    Described,
    Instrumentation,
)
from edge_pipeline.harness.devices.adb.link import AdbLink
from edge_pipeline.harness.devices.base import Options, Placement
from edge_pipeline.harness.job import Job
from edge_pipeline.harness.protocol import Plan
from tests.fakes.artifacts import make_artifact
from tests.unit.harness.devices.scripted_app import FILES, install_app, orders
from tests.unit.harness.devices.scripted_runner import write_runner

QUICK = Settings(plan=Plan(runs=30, seconds=0, warmup=0))
WORK = "data/local/tmp"
CRASH = """
echo "INSTRUMENTATION_RESULT: shortMsg=java.lang.IllegalStateException"
echo "INSTRUMENTATION_RESULT: longMsg=java.lang.IllegalStateException: no tensors
	at Foo.bar(Foo.java:1)"
echo "INSTRUMENTATION_CODE: 0"
exit 0
"""


@pytest.fixture(scope="module")
def artifact(tmp_path_factory):
    return make_artifact(tmp_path_factory.mktemp("app") / "it's $HOME; an `artifact`")


@pytest.fixture
def phone(adb_device, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))  # without the static runner
    return adb_device


def install(phone, artifact, **options):
    install_app(phone.root, phone.bed.sensors, artifact, **options)
    return open_device(phone.serial, Options())


def assert_clean(phone):
    assert list((phone.root / WORK).iterdir()) == []
    folder = phone.root / FILES
    assert not folder.exists() or list(folder.iterdir()) == []


def during(order, commands):
    return f'if [ "$order" = {order} ]; then\n{commands}\nfi'


def test_the_app_measures_and_is_left_as_it_was(phone, artifact):
    (record,) = bench([artifact.folder], install(phone, artifact), QUICK)
    assert record.runner == "edge-pipeline app 0.1"
    assert record.num_runs == 30
    assert record.latency.median_ms == 2
    assert record.first_inference_ms == 8
    assert record.init_ms == 5
    assert record.preempted_runs == 27
    assert record.memory_detail.method == "script"
    assert record.verification.result == "passed"
    assert record.versions == {"edge-pipeline app": "0.1"}
    assert record.sensors_before.battery_percent == 85
    assert record.environment.pinned_cpus is None
    assert "the program was not pinned to processors" in record.warnings
    assert phone.bed.sensors.affinities() == []
    assert_clean(phone)
    blocks = ["run 10 10 1"] * 3
    first = ["describe", "memory 1", "load 1", "run 1 0 1"]
    assert orders(phone.root) == [*first, *blocks, "outputs 1", "clean"]


def test_bench_prefers_the_app_and_appends_its_record(phone, artifact, tmp_path, capsys):
    install(phone, artifact)
    target = tmp_path / "records.jsonl"
    words = ["bench", str(artifact.folder), "--device", "adb", "--records", str(target)]
    assert main([*words, "--runs", "30", "--seconds", "0", "--warmup", "0"]) == 0
    assert "correct" in capsys.readouterr().out
    assert json.loads(target.read_text())["runner"] == "edge-pipeline app 0.1"


def test_a_given_runner_is_used_instead_of_the_app(phone, artifact, tmp_path):
    install(phone, artifact)
    options = Options(runner=str(write_runner(tmp_path)))
    device = open_device(phone.serial, options)
    device.acquire(Placement())
    assert device.refusal(Job(artifact, "forward")) is None
    device.release()
    assert not (phone.root / "bed/orders").exists()


def test_listing_the_devices_does_not_start_the_app(phone, artifact):
    install(phone, artifact)
    (found,) = attached()
    assert found.backends == {"litert": "edge-pipeline app"}
    assert not (phone.root / "bed/orders").exists()


def test_wrong_outputs_of_the_app_fail(phone, artifact):
    device = install(phone, artifact)
    content = bytearray((phone.root / "bed/app_outputs").read_bytes())
    content[-3:] = b"\x7f\x7f\x42"
    (phone.root / "bed/app_outputs").write_bytes(content)
    (record,) = bench([artifact.folder], device, QUICK)
    assert record.verification.result == "failed"


@pytest.mark.parametrize("order", ["memory", "run"])
def test_a_crash_of_the_app_is_one_sentence(phone, artifact, order):
    device = install(phone, artifact, hook=during(order, CRASH))
    with pytest.raises(RuntimeFailure, match=r"app on the phone crashed [^\n]*: .*: no tensors$"):
        bench([artifact.folder], device, QUICK)
    assert_clean(phone)


def test_a_missing_result_is_one_sentence(phone, artifact):
    device = install(phone, artifact, hook=during("outputs", "exit 0"))
    with pytest.raises(RuntimeFailure, match="ended without a code and without an answer running"):
        bench([artifact.folder], device, QUICK)
    assert_clean(phone)


def test_an_app_without_instrumentation_is_named(phone, artifact):
    phone.bed.sensors.install("org.edgepipeline.app")
    with pytest.raises(InputError, match="has no benchmark; install the app of this version"):
        bench([artifact.folder], open_device(phone.serial, Options()), QUICK)


def test_an_app_that_hangs_is_stopped_at_the_limit(phone, artifact):
    install(phone, artifact, hook="sleep 60")
    instrumentation = Instrumentation(AdbLink(phone.serial), limit_s=1)
    with pytest.raises(RuntimeFailure, match=r"did not end describing itself in 1 s"):
        instrumentation.ask(Described, "describing itself", {"order": "describe"})


def test_a_lost_connection_is_tried_again(phone, artifact):
    device = install(phone, artifact)
    phone.bed.faults.drop_link("shell", after_bytes=12000)
    (record,) = bench([artifact.folder], device, QUICK)
    assert phone.bed.faults.happened
    assert record.verification.result == "passed"
    assert_clean(phone)


def test_a_corrupted_pull_is_not_believed(phone, artifact):
    device = install(phone, artifact)
    phone.bed.faults.corrupt("pull", times=2)
    with pytest.raises(JobError, match="from the device is damaged"):
        bench([artifact.folder], device, QUICK)
    assert_clean(phone)
