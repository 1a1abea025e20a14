"""Calibration of a made-up device: measurement, interruption, continuation, the written profile."""

import json

import pytest

pytest.importorskip("torch", reason="programs are compiled")
pytest.importorskip("scipy", reason="the fit uses its least squares")

from edge_pipeline.artifact.store import Artifact
from edge_pipeline.calibrate import fitting, measuring, running
from edge_pipeline.calibrate.grid import call_of, plans_of_layer
from edge_pipeline.calibrate.journal import Journal
from edge_pipeline.calibrate.probes import Chain, convolution_probe, write_probe
from edge_pipeline.calibrate.result import refit
from edge_pipeline.calibrate.running import Request, calibrate
from edge_pipeline.compiler.lowering.algorithms import ALGORITHMS
from edge_pipeline.compiler.lowering.convolution import ConvPlan
from edge_pipeline.compiler.lowering.cost_model import CONSTANT, load_costs, work_of
from edge_pipeline.device_profile import load_profile, profile_file
from edge_pipeline.errors import CompileError, InputError, JobError, OutputError
from edge_pipeline.harness.protocol import TimedRun
from edge_pipeline.record import Environment, Instructions
from tests.fakes.artifacts import make_artifact
from tests.fakes.devices import FakeDevice

LAYERS = ((4, 3, 3, 24), (8, 4, 3, 32), (4, 8, 1, 24))
PROBES = {}


class Modelled(FakeDevice):
    """A device whose costs are 1 ms, or 1e6 instructions, and 10 per GFLOP and 0.01 per operator.

    Args:
        emulated: whether it counts instructions.
        processor: what it says of itself.
        stops_after: number of sessions after which it fails.
    """

    def __init__(self, *, emulated=False, processor="A 76", stops_after=None, backends=("onnx",)):
        super().__init__("made-up", backends=backends)
        self.emulated, self.processor, self.stops_after = emulated, processor, stops_after

    def describe(self):
        return Environment(
            system_name='Maker "Model" 3\x07',
            host_processor_model_name=self.processor,
            host_processor_core_count=8,
            host_memory_bytes=8 << 30,
            operating_system="Linux 6.1 aarch64",
        )

    def acquire(self, placement):
        # The first one only describes it.
        if self.stops_after is not None and len(self.sessions) > self.stops_after:
            raise JobError("the device is gone")
        super().acquire(placement)

    def place(self, job):
        worker = super().place(job)
        cost = cost_of(job)
        worker.run = lambda count: [TimedRun(round(1e6 * cost))] * count
        return worker

    def instructions(self, job):
        count = round(1e6 * cost_of(job))
        return Instructions(median=count, samples=(count,) * 3, method="made up")


def cost_of(job):
    probe, plan = PROBES[job.artifact.folder], job.artifact.folder.name
    if isinstance(probe.module, Chain):
        return 1.0 + probe.module.additions * 10
    if plan == "around":
        return 1.0
    work = work_of(probe.module.call, plan_named(plan), 1 << 20, 1)
    return 1.0 + 10 * work.flops / 1e9 + 0.01 * work.operators


def plan_named(name):
    algorithm, _, strip = name.rpartition("-")
    return ConvPlan(algorithm, int(strip))


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Artifacts that are not compiled, and fewer cache sizes and lanes to try."""

    def write(folder, _backend, probe):
        if folder.name.startswith("im2col"):
            raise CompileError(f"{folder} is not supported")
        PROBES[folder] = probe
        make_artifact(folder)

    monkeypatch.setattr(measuring, "write_probe", write)
    monkeypatch.setattr(fitting, "CACHES", (1 << 20,))
    monkeypatch.setattr(fitting, "LANES", (1,))


@pytest.fixture
def request_of(tmp_path):
    def make(**fields):
        fields = {"backends": ("onnx",), "layers": LAYERS} | fields
        return Request("adb:1A", ("adb", "1A"), tmp_path / "phone-1.toml", **fields)

    return make


def test_the_profile_has_what_was_measured(request_of, monkeypatch):
    result = calibrate(request_of(), Modelled())
    path = request_of().output
    profile, costs = load_profile(str(path)), load_costs(str(path))
    assert profile.name == "phone-1"
    assert (profile.transport, profile.address, profile.runtimes) == ("adb", "1A", ("onnx",))
    assert profile.identity.maker == "Maker"
    assert profile.identity.model.startswith('"Model" 3')
    assert (profile.identity.arch, profile.limits.memory_mb) == ("aarch64", 8192)
    assert profile.peaks.copy_gb_s == pytest.approx(16 * (64 << 20) / 160e-3 / 1e9, rel=1e-3)
    assert profile.costs_note is None
    assert {s.form for s in costs.samples} == {"constant", "native", *ALGORITHMS} - {"im2col"}
    assert costs.backends["onnx"].forms["stacked_rows"].per_gflop == pytest.approx(10, rel=0.05)
    assert any("im2col" in line and "is not supported" in line for line in result.refused)
    assert not request_of().journal.exists()
    assert str(path.parent) not in "".join(result.refused)


def test_instructions_are_labelled_as_such(request_of):
    result = calibrate(request_of(), Modelled(emulated=True))
    profile = load_profile(str(request_of().output))
    assert result.peaks is None is profile.peaks
    assert profile.costs.basis == "instructions"
    assert "not on times: made up" in profile.costs_note
    costs = load_costs(str(request_of().output))
    assert not any(s.ms for s in costs.samples)
    # The peak is measured on a small map, so a part of it is the cost of its operators.
    assert costs.backends["onnx"].forms["native"].per_gflop == pytest.approx(10, rel=0.2)


@pytest.mark.parametrize("sessions", [0, 1, 2, 3])
def test_an_interrupted_calibration_is_continued(request_of, sessions):
    with pytest.raises(JobError, match="the device is gone"):
        calibrate(request_of(), Modelled(stops_after=sessions))
    assert not request_of().output.exists()
    journal = request_of().journal
    if sessions:  # as if the last write had been cut
        journal.write_bytes(journal.read_bytes() + b'{"kind": "sam')
    device = Modelled()
    calibrate(request_of(), device)
    whole = Modelled()
    calibrate(request_of(force=True), whole)
    assert len(device.sessions) == len(whole.sessions) - sessions
    samples = load_costs(str(request_of().output)).samples
    keys = [(s.form, s.strip_bytes, s.weight, s.size) for s in samples]
    assert len(keys) == len(set(keys)) == sum(len(plans_of_layer(x)) - 1 for x in LAYERS)


def test_samples_of_another_machine_are_not_mixed(request_of):
    with pytest.raises(JobError, match="gone"):
        calibrate(request_of(), Modelled(stops_after=2))
    with pytest.raises(JobError, match=r"measurements of .*A 76.*now .*A 55"):
        calibrate(request_of(), Modelled(processor="A 55"))
    other = Request("host", ("host", ""), request_of().output, ("onnx",), LAYERS)
    with pytest.raises(InputError, match="measurements of adb:1A, not of host"):
        calibrate(other, Modelled())


def test_a_damaged_journal_is_named_with_its_line(request_of):
    request_of().journal.write_text('{"kind": "peak"}\n')
    with pytest.raises(InputError, match=r"samples.jsonl, line 1, is not a measurement"):
        calibrate(request_of(), Modelled())


def test_two_calibrations_do_not_write_one_file(request_of):
    other = Journal(request_of().journal)
    with other.locked(), pytest.raises(InputError, match="another calibration writes"):
        calibrate(request_of(), Modelled())
    assert not request_of().journal.exists()


def test_an_existing_profile_is_kept(request_of):
    request_of().output.write_text("mine")
    device = Modelled()
    with pytest.raises(OutputError, match="give --force"):
        calibrate(request_of(), device)
    assert not device.sessions
    assert request_of().output.read_text() == "mine"


def test_a_device_that_runs_nothing_is_refused(request_of, monkeypatch):
    monkeypatch.setattr(running, "BACKENDS_OF_COSTS", ("onnx",))
    with pytest.raises(InputError, match="made-up cannot run onnx"):
        calibrate(request_of(), Modelled(backends=()))
    with pytest.raises(InputError, match="can measure no backend"):
        calibrate(request_of(backends=()), Modelled(backends=()))
    assert not request_of().output.exists()


def test_wrong_outputs_are_not_measured(request_of, monkeypatch):
    device = Modelled()
    place = device.place

    def wrong(job):
        worker = place(job)
        if job.artifact.folder.name.startswith("stacked_rows"):
            outputs = worker.outputs()
            worker.outputs = lambda: {name: value + 1 for name, value in outputs.items()}
        return worker

    device.place = wrong
    result = calibrate(request_of(), device)
    assert any("stacked_rows" in line and "wrong outputs" in line for line in result.refused)
    assert "stacked_rows" not in load_costs(str(request_of().output)).backends["onnx"].forms


def test_refitting_gives_the_same_file(request_of):
    calibrate(request_of(), Modelled())
    path = request_of().output
    costs = path.with_name("phone-1.costs.json")
    first, profile = costs.read_text(), path.read_text()
    refit(path)
    assert json.loads(costs.read_text()) == json.loads(first)
    assert path.read_text() == profile


def test_the_algorithms_of_a_layer_compile_and_agree_with_eager(tmp_path):
    layer = (2, 3, 3, 12)
    for plan in (None, CONSTANT, ConvPlan("stacked_rows", 0)):
        folder = tmp_path / (plan.algorithm if plan else "around")
        write_probe(folder, "onnx", convolution_probe(call_of(layer), plan))
        artifact = Artifact.open(folder)
        assert artifact.manifest.checked == "verified"
        assert artifact.program("forward").macs == (0 if plan is None else 2 * 3 * 9 * 144)


def test_an_algorithm_that_computes_something_else_is_not_written(tmp_path, monkeypatch):
    wrong = ALGORITHMS["im2col"]
    monkeypatch.setitem(
        ALGORITHMS,
        "im2col",
        type(wrong)(lambda *a: wrong.compute(*a).flip(2), wrong.channels, True),
    )
    probe = convolution_probe(call_of((2, 3, 3, 12)), ConvPlan("im2col", 0))
    with pytest.raises(CompileError):
        write_probe(tmp_path / "probe", "onnx", probe)
    assert not (tmp_path / "probe").exists()


def test_costs_without_samples_cannot_be_fitted_anew(tmp_path):
    for ending in ("toml", "costs.json"):
        (tmp_path / f"mine.{ending}").write_bytes(profile_file("arm64", ending).read_bytes())
    with pytest.raises(InputError, match="have no samples"):
        refit(tmp_path / "mine.toml")
