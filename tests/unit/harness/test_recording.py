"""Records of shipped artifacts: layers, peaks and scores that come from the artifact."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from edge_pipeline.artifact.provenance import Calibration, Loss
from edge_pipeline.artifact.store import Artifact
from edge_pipeline.files import packaged
from edge_pipeline.harness.job import Job
from edge_pipeline.harness.profiling import Profile
from edge_pipeline.harness.protocol import UNTIMED
from edge_pipeline.harness.recording import Result, Session, record_of
from edge_pipeline.record import Peaks, Sensors, Verification
from tests.fakes.records import make_record

PEAKS = Peaks(gflops=100, copy_gb_s=10, how="made up")
SESSION = Session(
    "s", "host", False, 1, make_record().environment, (), Sensors(), Sensors(),
    datetime(2025, 1, 1, tzinfo=UTC), PEAKS,
)  # fmt: skip
_SET = Calibration.of([], "made up")
RESULT = Result(
    "r", {}, UNTIMED, None, None, None, "fp32", Verification(result="not_run"), Profile()
)


def _artifact(name):
    return Artifact.open(packaged("calibration") / "pretrained" / name / "artifact")


@pytest.mark.parametrize("program", ["forward", "predict_filters"])
def test_the_layers_of_a_program_are_those_that_it_runs(program):
    artifact = _artifact("isp_default")
    record = record_of(Job(artifact, program), RESULT, SESSION)
    assert sum(layer.macs for layer in record.layers) == record.macs
    names = {layer.name for layer in record.layers}
    assert ("enter" in names) == (program == "forward")
    assert ("embed.0" in names) == (program == "predict_filters")


def test_another_size_has_no_layers_because_they_were_not_counted():
    record = record_of(Job(_artifact("isp_default"), "forward", (64, 64)), RESULT, SESSION)
    assert record.macs is None
    assert record.layers == ()


def test_peaks_of_one_thread_are_not_those_of_several():
    job = Job(_artifact("phi_unet_nuclei"), "forward")
    assert record_of(job, RESULT, SESSION).peaks == PEAKS
    assert record_of(job, RESULT, replace(SESSION, threads=2)).peaks is None


def test_scores_of_the_card_are_those_of_the_programs_phi():
    artifact = _artifact("phi_unet_nuclei")
    card = artifact.manifest.card.metrics
    record = record_of(Job(artifact, "forward"), RESULT, SESSION)
    assert record.fixed == {"phi": 0.3}
    assert record.quality == {"dice": card["dice_phi_0.3"], "miou": card["miou_phi_0.3"]}


def test_programs_that_compute_weights_have_no_score():
    artifact = _artifact("isp_default")
    scores = record_of(Job(artifact, "forward"), RESULT, SESSION).quality
    assert set(scores) == {f"psnr_srgb_db_{noise}" for noise in ("none", "low", "medium", "high")}
    assert record_of(Job(artifact, "predict_filters"), RESULT, SESSION).quality == {}


@pytest.mark.parametrize("changes", [{"filters": "folded"}, {"precision": "fp16"}])
def test_the_cards_scores_are_not_those_of_a_program_that_computes_something_else(changes):
    artifact = _artifact("isp_default")
    changed = artifact.manifest.model_copy(update=changes)
    job = Job(replace(artifact, manifest=changed), "forward")
    assert record_of(job, RESULT, SESSION).quality == {}


def test_scores_after_a_loss_are_the_programs():
    artifact = _artifact("isp_default")
    loss = Loss(cause="precision", metric="psnr_db", before=40.0, after=39.5, loss=0.5, on=_SET)
    changed = artifact.manifest.model_copy(update={"losses": (loss,)})
    job = Job(replace(artifact, manifest=changed), "forward")
    assert record_of(job, RESULT, SESSION).quality == {"psnr_db": 39.5}
