"""Verification passes what is right and catches planted faults."""

import json
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper

from edge_pipeline.artifact.draft import reference_bytes, write_artifact
from edge_pipeline.artifact.store import Artifact
from edge_pipeline.errors import InputError, VerificationError
from edge_pipeline.proof.verify import Trials, VerifyReport, verify_artifact
from tests.fakes.artifacts import make_artifact, make_files

Form = Literal["dynamic", "folded", "split"]


def _with_reference_off_by(folder: Path, fault: NDArray[np.float32]) -> Artifact:
    """A folded artifact whose model is right and whose kept output is off."""
    good = make_artifact(folder.with_name("good"))
    inputs, outputs = good.reference("forward")
    manifest, files = make_files()
    wrong = {"rgb": (outputs["rgb"] + fault).astype(np.float32)}
    files["forward.safetensors"] = reference_bytes(inputs, wrong)
    return write_artifact(folder, manifest, files, force=False)


@pytest.mark.parametrize("filters", ["dynamic", "folded", "split"])
@pytest.mark.parametrize("threads", [1, 2])
def test_right(tmp_path: Path, filters: Form, threads: int) -> None:
    artifact = make_artifact(tmp_path / "a", filters=filters)
    report = verify_artifact(artifact, threads=threads)
    assert report.passed
    assert [p.program for p in report.programs] == [p.name for p in artifact.manifest.programs]
    assert all(program.passed for program in report.programs)
    assert (report.digest, report.threads) == (artifact.digest, threads)
    assert report.backend == "onnx"


def test_pictures_are_judged_in_srgb_and_filters_are_not(tmp_path: Path) -> None:
    report = verify_artifact(make_artifact(tmp_path / "a", filters="split"))
    predictor, path = report.programs
    assert predictor.outputs[0].difference.max_abs_srgb is None
    assert path.outputs[0].difference.max_abs_srgb is not None


@pytest.mark.parametrize("offset", [2e-3, -2e-3])
def test_output_that_is_off(tmp_path: Path, offset: float) -> None:
    fault = np.full((1, 3, 64, 64), offset, np.float32)
    report = verify_artifact(_with_reference_off_by(tmp_path / "a", fault))
    assert not report.passed
    output = report.programs[0].outputs[0]
    assert not output.passed
    assert "relative error 0.002 is not below 0.0001" in (output.complaint or "")
    assert output.difference.max_abs == pytest.approx(2e-3, rel=1e-3)


def test_one_pixel_that_is_off(tmp_path: Path) -> None:
    fault = np.zeros((1, 3, 64, 64), np.float32)
    fault[0, 2, 63, 63] = 1e-3
    assert not verify_artifact(_with_reference_off_by(tmp_path / "a", fault)).passed


def test_srgb_output_is_not_encoded(tmp_path: Path) -> None:
    """An error in the shadows that would be too large in linear light is small in sRGB."""
    manifest, files = make_files(output_space="srgb")
    inputs = {"packed": np.full((1, 4, 32, 32), 0.001, np.float32)}
    inputs["packed"][0, :, 0, 0] = 1
    expected = np.full((1, 3, 64, 64), 0.001 + 2e-5, np.float32)
    expected[0, :, :2, :2] = 1
    files["forward.safetensors"] = reference_bytes(inputs, {"rgb": expected})
    encoded = write_artifact(tmp_path / "srgb", manifest, files, force=False)
    assert verify_artifact(encoded).passed
    linear, _ = make_files(output_space="camera_linear")
    report = verify_artifact(write_artifact(tmp_path / "linear", linear, files, force=False))
    assert "error in sRGB" in (report.programs[0].outputs[0].complaint or "")


def test_model_that_gives_nan(tmp_path: Path) -> None:
    manifest, files = make_files()
    model = onnx.load_from_string(files["forward.onnx"])
    kernel = numpy_helper.to_array(model.graph.initializer[0]).copy()
    kernel[5] = np.nan
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(kernel, "kernel"))
    files["forward.onnx"] = model.SerializeToString()
    artifact = write_artifact(tmp_path / "a", manifest, files, force=False)
    with pytest.raises(VerificationError, match="rgb has 1024 values that are not finite"):
        verify_artifact(artifact)


def test_what_nothing_here_can_run_is_no_pass(tmp_path: Path) -> None:
    manifest, files = make_files()
    manifest = manifest.model_copy(update={"checked": "not_run", "backend": "phone"})
    report = verify_artifact(write_artifact(tmp_path / "a", manifest, files, force=False))
    assert (report.passed, report.verdict, report.programs) == (False, "not_run", ())
    assert "phone" in report.notes[0]


def test_a_translation_is_never_called_verified(tmp_path: Path) -> None:
    manifest, files = make_files()
    manifest = manifest.model_copy(update={"checked": "translation"})
    report = verify_artifact(write_artifact(tmp_path / "a", manifest, files, force=False))
    assert (report.passed, report.verdict) == (True, "translation")


def test_a_tolerance_of_ones_own(tmp_path: Path) -> None:
    artifact = make_artifact(tmp_path / "a")
    assert verify_artifact(artifact, trials=Trials(tolerance=0.5)).passed
    report = verify_artifact(artifact, trials=Trials(tolerance=1e-30))
    assert report.verdict == "failed" or report.programs[0].outputs[0].difference.max_abs == 0


def test_without_a_graph_it_says_so(tmp_path: Path) -> None:
    artifact = make_artifact(tmp_path / "a")
    assert "reference input only" in verify_artifact(artifact).notes[0]
    with pytest.raises(InputError, match="cannot be verified on 3 random inputs"):
        verify_artifact(artifact, trials=Trials(random=3))


def test_threads(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="threads must be from 1 to 512, got 0"):
        verify_artifact(make_artifact(tmp_path / "a"), threads=0)


def test_report_as_json(tmp_path: Path) -> None:
    report = verify_artifact(make_artifact(tmp_path / "a", filters="split"))
    text = report.model_dump_json()
    data: dict[str, Any] = json.loads(text)
    assert data["programs"][1]["outputs"][0]["tolerance"] == {
        "max_rel": 1e-4,
        "max_abs_srgb": 1e-4,
        "min_psnr_db": None,
        "max_noise": 1e-4,
    }
    assert VerifyReport.model_validate_json(text) == report
