"""`bench --device adb` against a device end of the ADB protocol that runs AArch64 programs."""

import json
import os
import subprocess

import pytest

pytest.importorskip("adbutils", reason="the extra devices is not installed")

from edge_pipeline.cli.main import main
from edge_pipeline.errors import InputError, JobError, RuntimeFailure
from edge_pipeline.harness.bench import Settings, bench
from edge_pipeline.harness.devices.adb import attached, open_device
from edge_pipeline.harness.devices.adb.link import AdbLink
from edge_pipeline.harness.devices.base import DeviceLostError, Options, Placement
from edge_pipeline.harness.gate import Gate
from edge_pipeline.harness.job import Job
from edge_pipeline.harness.protocol import Plan
from edge_pipeline.harness.runner import cached_runner
from tests.fakes.artifacts import make_artifact
from tests.unit.harness.devices.scripted_runner import OUTPUTS, write_outputs, write_runner

QUICK = Settings(plan=Plan(runs=30, seconds=0, warmup=1))
WORK = "data/local/tmp"


@pytest.fixture(scope="module")
def artifact(tmp_path_factory):
    return make_artifact(tmp_path_factory.mktemp("adb") / "it's $HOME; an `artifact`")


@pytest.fixture
def phone(adb_device, artifact):
    write_outputs(adb_device.root, artifact)
    return adb_device


@pytest.fixture
def runner(tmp_path):
    return str(write_runner(tmp_path))


@pytest.fixture
def device(phone, runner):
    return open_device(phone.serial, Options(runner=runner))


def leftovers(phone):
    return [path.name for path in (phone.root / WORK).iterdir()]


def run_until_it_fails(worker):
    while True:
        worker.run(1)


def test_a_phone_is_measured_and_left_as_it_was(phone, device, artifact):
    (record,) = bench([artifact.folder], device, QUICK)
    assert record.device == f"adb:{phone.serial}"
    assert record.runner == "scripted_runner"
    assert record.latency.median_ms == 2
    assert record.init_ms == 5
    assert record.verification.result == "passed"
    assert record.memory_detail.method == "script"
    assert record.environment.system_name
    assert record.environment.operating_system.startswith("Android 14")
    assert record.sensors_before.battery_percent == 85
    assert record.throttled is False
    assert leftovers(phone) == []
    assert phone.bed.running("scripted_runner") == []


def test_bench_measures_a_phone_by_name(phone, runner, artifact, tmp_path, capsys):
    target = tmp_path / "records.jsonl"
    cpu = str(max(os.sched_getaffinity(0)))  # the bed executes programs on this machine
    words = ["bench", str(artifact.folder), "--device", f"adb:{phone.serial}"]
    words += ["--runner", runner, "--records", str(target), "--cores", cpu]
    assert main([*words, "--runs", "30", "--seconds", "0", "--warmup", "0"]) == 0
    assert "correct" in capsys.readouterr().out
    assert json.loads(target.read_text())["environment"]["pinned_cpus"] == [int(cpu)]


def test_wrong_outputs_of_a_fast_phone_fail(phone, device, artifact):
    content = bytearray((phone.root / OUTPUTS).read_bytes())
    content[-3:] = b"\x7f\x7f\x42"
    (phone.root / OUTPUTS).write_bytes(content)
    (record,) = bench([artifact.folder], device, QUICK)
    assert record.verification.result == "failed"


def test_the_only_phone_needs_no_serial(phone):
    link = AdbLink("")
    link.connect()
    assert link.serial == phone.serial


def test_hostile_words_reach_the_command_unchanged(phone):
    link = AdbLink(phone.serial)
    for word in ("a b", "$(reboot)", "`id`", "';id;'", '"', "\\", "*", "a\nb", "-n", "é", "&& id"):
        assert link.run(["printf", "%s", word]).stdout == word
    assert link.run(["sh", "-c", "exit 7"]).code == 7


def test_devices_are_listed_with_the_reason_why_one_cannot_be_used(phone, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    phone.bed.faults.is_authorized = False
    (found,) = attached()
    assert found.name == f"adb:{phone.serial}"
    assert "runner" in found.problem


def test_an_absent_phone_is_refused(phone):
    with pytest.raises(
        InputError, match=f"no device 'X1' is attached to adb; attached: {phone.serial}"
    ):
        open_device("X1", Options())


def test_an_unauthorised_phone_is_refused_with_the_remedy(phone):
    phone.bed.faults.is_authorized = False
    phone.bed.drop_links()
    with pytest.raises(InputError, match="allow USB debugging"):
        open_device(phone.serial, Options())


def test_a_runner_for_another_abi_is_refused(phone, artifact, tmp_path):
    runner = tmp_path / "edge_runner"
    runner.write_bytes((phone.root / "system/bin/busybox").read_bytes()[:100])
    phone.bed.set_abi("armeabi-v7a")
    other = open_device(phone.serial, Options(runner=str(runner)))
    with pytest.raises(InputError, match="is for arm64-v8a; this device executes armeabi-v7a"):
        bench([artifact.folder], other, QUICK)
    assert leftovers(phone) == []


def test_a_phone_without_a_runner_says_so(phone, artifact, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(InputError, match=r"cannot run on adb:.*: it has no runner"):
        bench([artifact.folder], open_device(phone.serial, Options()), QUICK)
    assert leftovers(phone) == []


def test_a_lost_connection_in_a_push_is_tried_again(phone, device, artifact):
    phone.bed.faults.drop_link("push", after_bytes=500)
    (record,) = bench([artifact.folder], device, QUICK)
    assert record.verification.result == "passed"
    assert phone.bed.faults.happened
    assert leftovers(phone) == []


def test_a_phone_that_is_gone_for_good_is_one_sentence(phone, runner, artifact, capsys):
    phone.bed.faults.drop_link("push", after_bytes=500, gone=True)
    words = ["bench", str(artifact.folder), "--device", f"adb:{phone.serial}"]
    assert main([*words, "--runner", runner]) in (1, 2)
    assert capsys.readouterr().err.count("error:") == 1


def test_a_connection_lost_in_the_runs_is_tried_again(phone, device, artifact):
    phone.bed.faults.drop_link("shell", after_bytes=4000)
    (record,) = bench([artifact.folder], device, QUICK)
    assert record.num_runs == 30
    assert phone.bed.faults.happened
    assert phone.bed.running("scripted_runner") == []
    assert leftovers(phone) == []


def test_a_full_disk_is_named_with_the_free_space(phone, device, artifact):
    phone.bed.fill_disk(1000)
    with pytest.raises(JobError, match=r"could not store .*MiB are free in /data/local/tmp"):
        bench([artifact.folder], device, QUICK)
    phone.bed.fill_disk(1 << 20)
    assert leftovers(phone) == []


def test_a_crash_of_the_runner_is_named_with_the_signal(phone, device, artifact):
    device.acquire(Placement())
    worker = device.place(Job(artifact, "forward"))
    worker.load()
    phone.bed.crash("scripted_runner")
    with pytest.raises(RuntimeFailure, match="ended by signal 11"):
        run_until_it_fails(worker)
    worker.close()
    device.release()
    assert leftovers(phone) == []


def test_a_hung_shell_ends_at_its_limit(phone):
    link = AdbLink(phone.serial)
    phone.bed.faults.hang("true")
    with pytest.raises(DeviceLostError, match=r"did not answer 'true' in 0\.5 s"):
        link.run(["true"], timeout_s=0.5)


def test_a_corrupted_pull_is_not_believed(phone, device, artifact):
    phone.bed.faults.corrupt("pull", times=2)
    with pytest.raises(JobError, match="from the device is damaged"):
        bench([artifact.folder], device, QUICK)
    assert leftovers(phone) == []


def test_a_corrupted_push_is_not_run(phone, device, artifact):
    phone.bed.faults.corrupt("push", times=9)
    with pytest.raises(JobError, match="on the device is damaged"):
        bench([artifact.folder], device, QUICK)


def test_a_restart_of_adbs_server_is_survived(phone, device, artifact):
    (before,) = bench([artifact.folder], device, QUICK)
    subprocess.run([str(phone.server.adb), "kill-server"], check=True, timeout=20)
    (after,) = bench([artifact.folder], device, QUICK)
    assert before.verification == after.verification


def test_a_low_battery_is_refused_unless_it_charges(phone, device, artifact):
    phone.bed.sensors.set_battery(5)
    with pytest.raises(JobError, match="has 5 % left"):
        bench([artifact.folder], device, QUICK)
    phone.bed.sensors.set_battery(5, "Charging")
    (record,) = bench([artifact.folder], device, QUICK)
    assert record.sensors_before.charging


def test_a_throttled_phone_is_marked_or_refused(phone, device, artifact):
    phone.bed.sensors.throttle()
    (record,) = bench([artifact.folder], device, QUICK)
    assert record.throttled
    assert record.sensors_before.thermal_status == "severe"
    refusing = Settings(plan=QUICK.plan, gate=Gate(throttled="refuse", cool_down_s=0))
    with pytest.raises(JobError, match="thermal status severe"):
        bench([artifact.folder], device, refusing)


@pytest.mark.skipif(not cached_runner().is_file(), reason="edge_runner is not built: make runner")
def test_the_executable_computes_on_the_phone(adb_device, artifact):
    device = open_device(adb_device.serial, Options())
    (record,) = bench([artifact.folder], device, QUICK)
    assert record.verification.result == "passed"
    assert record.runner.startswith("edge_runner")
    assert record.versions
    assert leftovers(adb_device) == []
