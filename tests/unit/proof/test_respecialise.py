"""Other weights in a compiled artifact: written where they lie, told honestly, refused clearly."""

import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from edge_pipeline.artifact.draft import write_artifact
from edge_pipeline.artifact.provenance import Loss
from edge_pipeline.artifact.size_table import SizeTable, TableSpec
from edge_pipeline.artifact.store import Artifact
from edge_pipeline.artifact.weight_curve import CurveSpec, WeightCurve
from edge_pipeline.errors import (
    ArtifactError,
    InputError,
    OutputError,
    RuntimeFailure,
    VerificationError,
)
from edge_pipeline.proof.respecialise import read_filters, respecialise
from edge_pipeline.proof.verify import Trials, verify_artifact
from tests.fakes.artifacts import FILTER, apply_filters, make_artifact, make_files
from tests.fakes.constants import NEW, OLD, files_with_constants, with_constants

NO_TRIALS = Trials(random=0)


@pytest.fixture
def folded(tmp_path) -> Artifact:
    return with_constants(tmp_path / "folded", notes=("an old note",))


@pytest.fixture
def specialised(tmp_path) -> Artifact:
    """Its one weight is 0.35 at phi 0.35, and so on."""
    knots = (0.34, 0.36)
    values = np.stack([np.full(OLD.shape, knot, np.float32) for knot in knots])
    manifest, files = files_with_constants(
        filters="specialised",
        fixed={"phi": 0.35, "mode": "fast"},
        calibration=None,
        curve="c.safetensors",
    )
    curve = WeightCurve(CurveSpec(input="phi", knots=knots), {FILTER: values})
    files["c.safetensors"] = curve.content()
    return write_artifact(tmp_path / "specialised", manifest, files, force=False)


def test_the_copy_computes_with_the_new_weights(folded, tmp_path):
    before = (folded.folder / "manifest.json").read_bytes()
    copy = respecialise(folded, tmp_path / "copy", filters=NEW)
    inputs, outputs = copy.reference("forward")
    expected = apply_filters(inputs["packed"], NEW[FILTER])
    np.testing.assert_allclose(outputs["rgb"], expected, atol=1e-5)
    assert (folded.folder / "manifest.json").read_bytes() == before
    # Nobody has held it against eager, and it does not claim so.
    assert not verify_artifact(Artifact.open(tmp_path / "copy"), trials=NO_TRIALS).passed


def test_only_the_weights_differ(folded, tmp_path):
    copy = respecialise(folded, tmp_path / "copy", filters=NEW)
    old, new = (a.path("forward.onnx").read_bytes() for a in (folded, copy))
    assert new == old.replace(OLD.tobytes(), NEW[FILTER].tobytes())


def test_there_and_back_is_where_it_began(folded, tmp_path):
    copy = respecialise(folded, tmp_path / "copy", filters=NEW)
    back = respecialise(copy, tmp_path / "back", filters={FILTER: OLD})
    assert back.path("forward.onnx").read_bytes() == folded.path("forward.onnx").read_bytes()


def test_the_manifest_says_what_happened(tmp_path):
    manifest, _ = make_files()
    loss = Loss(
        cause="folding", metric="psnr_db", before=30, after=29, loss=1, on=manifest.calibration
    )
    old = with_constants(tmp_path / "folded", notes=("an old note",), losses=(loss,))
    told = respecialise(old, tmp_path / "copy", filters=NEW).manifest
    assert told.checked == "not_run"
    assert told.losses == ()
    assert told.notes[0] == "an old note"
    assert old.digest in told.notes[1]
    assert "not eager's" in told.notes[1]
    digest = hashlib.sha256(FILTER.encode() + NEW[FILTER].tobytes()).hexdigest()
    assert [file.sha256 for file in told.calibration.files] == [digest]


def test_without_a_run_no_reference_passes(folded, tmp_path):
    copy = respecialise(folded, tmp_path / "copy", filters=NEW, reference="none")
    assert np.isnan(copy.reference("forward")[1]["rgb"]).all()
    assert "unknown" in copy.manifest.notes[-1]
    assert verify_artifact(copy, trials=NO_TRIALS).verdict == "not_run"
    # Nor if it were taken for checked.
    claimed = copy.manifest.model_copy(update={"checked": "verified"})
    with pytest.raises(VerificationError, match="not finite"):
        verify_artifact(Artifact(copy.folder, claimed, copy.digest), trials=NO_TRIALS)


def test_without_the_runtime_it_works_too(folded, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    copy = respecialise(folded, tmp_path / "copy", filters=NEW)
    assert np.isnan(copy.reference("forward")[1]["rgb"]).all()


def test_phi(specialised, tmp_path):
    copy = respecialise(specialised, tmp_path / "copy", fixed={"phi": 0.36})
    assert copy.manifest.fixed == {"phi": 0.36, "mode": "fast"}
    inputs, outputs = copy.reference("forward")
    expected = apply_filters(inputs["packed"], np.full(OLD.shape, 0.36, np.float32))
    np.testing.assert_allclose(outputs["rgb"], expected, atol=1e-5)
    # It still has its curve.
    again = respecialise(copy, tmp_path / "again", fixed={"phi": 0.35})
    assert again.manifest.fixed["phi"] == 0.35


def test_a_table_without_the_places_of_its_sizes_is_refused(tmp_path):
    knots = (0.34, 0.36)
    manifest, files = files_with_constants(
        filters="specialised", fixed={"phi": 0.35}, calibration=None, curve="c.safetensors"
    )
    table = SizeTable(TableSpec(), np.array([0.34]), np.array([[3]]))
    values = np.stack([np.full(OLD.shape, knot, np.float32) for knot in knots])
    curve = WeightCurve(CurveSpec(input="phi", knots=knots), {FILTER: values}, table=table)
    files["c.safetensors"] = curve.content()
    artifact = write_artifact(tmp_path / "tabled", manifest, files, force=False)
    with pytest.raises(ArtifactError, match="does not list the places of its map sizes"):
        respecialise(artifact, tmp_path / "copy", fixed={"phi": 0.36})
    assert not (tmp_path / "copy").exists()


@pytest.mark.parametrize(
    ("fixed", "complaint"),
    [
        (
            {"phi": 0.5},
            r"phi=0\.5 must be from 0\.34 to 0\.36, .* stays the same; compile for 0\.5",
        ),
        ({"phi": float("nan")}, r"phi=nan must be from 0\.34 to 0\.36"),
        ({"phi": "much"}, "phi=much must be a number"),
        ({"gain": 0.35}, "has no fixed input gain; its fixed inputs: phi, mode"),
        ({"phi": 0.35, "mode": "slow"}, "phi, mode: change one fixed input at a time"),
        (
            {"mode": "slow"},
            "mode=fast only, and respecialise changes single numbers only; compile for mode",
        ),
    ],
)
def test_values_that_cannot_be(specialised, tmp_path, fixed, complaint):
    with pytest.raises(InputError, match=complaint):
        respecialise(specialised, tmp_path / "copy", fixed=fixed)
    assert not (tmp_path / "copy").exists()


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({}, "give either filters or a fixed value"),
        ({"filters": NEW, "fixed": {"phi": 0.3}}, "give either filters or a fixed value"),
        ({"fixed": {"phi": 0.3}}, "has no fixed input phi; its fixed inputs: none"),
        ({"filters": {}}, f"the weight {FILTER} is missing"),
        ({"filters": NEW | {"x": OLD}}, "x is not a weight"),
        ({"filters": NEW, "reference": "eager"}, "does not contain a graph"),
        ({"filters": {FILTER: OLD[0]}}, "expected float32 1x12x4x1x1, got float32 12x4x1x1"),
        ({"filters": {FILTER: OLD * np.nan}}, "not finite"),
    ],
)
def test_what_cannot_be_written(folded, tmp_path, given, complaint):
    with pytest.raises(InputError, match=complaint):
        respecialise(folded, tmp_path / "copy", **given)
    assert not (tmp_path / "copy").exists()


def test_without_a_curve_the_artifact_must_be_compiled_again(tmp_path):
    changes = {"filters": "specialised", "fixed": {"phi": 0.35}, "calibration": None}
    artifact = with_constants(tmp_path / "small", **changes)
    with pytest.raises(InputError, match=r"phi=0\.35 only; compile it with --respecialisable"):
        respecialise(artifact, tmp_path / "copy", fixed={"phi": 0.36})
    copy = respecialise(artifact, tmp_path / "copy", filters=NEW)
    assert copy.manifest.fixed == {"phi": 0.35}


def test_artifacts_that_cannot_be_changed(tmp_path):
    int8 = with_constants(tmp_path / "int8", precision="int8")
    with pytest.raises(InputError, match="int8, whose scales fit the old weights only"):
        respecialise(int8, tmp_path / "copy", filters=NEW)
    for form, why in [
        ("dynamic", "computes its filters itself"),
        ("split", "receives its filters as an input"),
        ("refolded", "computes its filters for each capture"),
    ]:
        artifact = make_artifact(tmp_path / form, filters=form)
        with pytest.raises(InputError, match=why):
            respecialise(artifact, tmp_path / "copy", filters=NEW)
    plain = make_artifact(tmp_path / "plain")
    with pytest.raises(InputError, match="does not list the places of its weights"):
        respecialise(plain, tmp_path / "copy", filters=NEW)


def test_an_output_that_stands_there(folded, tmp_path):
    respecialise(folded, tmp_path / "copy", filters=NEW)
    with pytest.raises(OutputError, match="--force"):
        respecialise(folded, tmp_path / "copy", filters=NEW)
    respecialise(folded, tmp_path / "copy", filters=NEW, force=True)
    # Even the artifact itself may be replaced: it is read before the copy gets its name.
    respecialise(folded, folded.folder, filters=NEW, force=True)
    assert Artifact.open(folded.folder).manifest.notes[-1].startswith("respecialised")


def test_a_copy_that_does_not_run_is_not_written(folded, tmp_path, monkeypatch):
    def fail(*_: object) -> None:
        raise RuntimeFailure("no")

    monkeypatch.setattr("edge_pipeline.runtime.onnx.open_session", fail)
    with pytest.raises(RuntimeFailure):
        respecialise(folded, tmp_path / "copy", filters=NEW)
    assert [path.name for path in tmp_path.iterdir()] == ["folded"]


def test_reading_filters(tmp_path):
    path = tmp_path / "f.safetensors"
    path.write_bytes(safetensors.numpy.save(NEW))
    np.testing.assert_array_equal(read_filters(path)[FILTER], NEW[FILTER])
    with pytest.raises(InputError, match=r"cannot read .*absent"):
        read_filters(tmp_path / "absent")
    path.write_bytes(b"x")
    with pytest.raises(InputError, match="not a readable safetensors file"):
        read_filters(path)


def test_no_torch_is_loaded(folded, tmp_path: Path):
    safetensors.numpy.save_file(NEW, tmp_path / "f.safetensors")
    script = f"""
import sys
from edge_pipeline.cli.main import main
code = main(["respecialise", {str(folded.folder)!r}, "-o", {str(tmp_path / "copy")!r},
             "--filters", {str(tmp_path / "f.safetensors")!r}])
raise SystemExit(code or int("torch" in sys.modules))
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
