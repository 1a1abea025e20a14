"""Other weights in a compiled artifact: written where they lie, told honestly, refused clearly."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from edge_pipeline.artifact.constants import locate
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
from edge_pipeline.proof.changes import change_to
from edge_pipeline.proof.respecialise import read_filters, respecialise
from edge_pipeline.proof.verify import Trials, verify_artifact
from tests.fakes.artifacts import FILTER, apply_filters, demosaic_weight, make_artifact, make_files

OLD = demosaic_weight(1)[None]
NEW = {FILTER: np.random.default_rng(5).standard_normal(OLD.shape).astype(np.float32)}


NO_TRIALS = Trials(random=0)
GRAPH = "forward.graph.safetensors"


def files_with_constants(**changes):
    """The fake's files, and a graph file that holds its weight and no calls."""
    manifest, files = make_files(size=(32, 32))
    files[GRAPH] = safetensors.numpy.save({"weight": OLD, "other": np.zeros(8, np.float32)})
    holding = {name: files[name] for name in ("forward.onnx", GRAPH)}
    constants = locate(holding, {FILTER: OLD}, required=[GRAPH]).constants
    program = manifest.programs[0].model_copy(update={"constants": constants, "graph": GRAPH})
    return manifest.model_copy(update={"programs": (program,)} | changes), files


def with_constants(folder, **changes):
    return write_artifact(folder, *files_with_constants(**changes), force=False)


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
        ({"mode": "slow"}, "mode=fast only; compile it with --respecialisable"),
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


def resealed(artifact, **changes):
    """The artifact with a change to the place of its weight in the program, sealed again."""
    path = artifact.folder / "manifest.json"
    data = json.loads(path.read_bytes())
    (program,) = data["programs"]
    for constant in program["constants"]:
        if constant["file"] == changes.get("file", "forward.onnx"):
            constant.update(changes)
    text = json.dumps(data).encode()
    path.write_bytes(text)
    seal = f"{hashlib.sha256(text).hexdigest()}  manifest.json\n"
    (artifact.folder / "manifest.sha256").write_text(seal)
    return Artifact.open(artifact.folder)


@pytest.mark.parametrize(
    "changes",
    [
        {"offsets": [0]},
        {"offsets": [10**9]},
        {"file": GRAPH, "offsets": [0]},
        {"file": GRAPH, "offsets": [8]},
        {"scale": 0.0},
        {"dtype": "float16"},
        {"axes": [0, 2, 1, 3, 4]},
        {"rounded": True, "scale": 2.0},
    ],
)
def test_a_manifest_that_tells_other_places_is_refused(folded, tmp_path, changes):
    artifact = resealed(folded, **changes)
    with pytest.raises(
        ArtifactError, match=f"lists {FILTER} at byte .*, where the file does not contain it"
    ):
        respecialise(artifact, tmp_path / "copy", filters=NEW)
    assert not (tmp_path / "copy").exists()


def test_a_second_place_is_checked_too(folded, tmp_path):
    (true,) = (c for c in folded.manifest.programs[0].constants if c.file == "forward.onnx")
    artifact = resealed(folded, offsets=[*true.offsets, 4])
    with pytest.raises(ArtifactError, match=r"at byte 4 of forward\.onnx"):
        respecialise(artifact, tmp_path / "copy", filters=NEW)


def test_without_its_graph_no_place_can_be_checked(tmp_path):
    manifest, files = files_with_constants()
    (program,) = manifest.programs
    inside = tuple(c for c in program.constants if c.file != GRAPH)
    for name, changes, complaint in [
        ("none", {"graph": None, "constants": inside}, "does not contain the graph"),
        ("unlisted", {"constants": inside}, f"lists no place for {FILTER} in {GRAPH}"),
    ]:
        changed = manifest.model_copy(update={"programs": (program.model_copy(update=changes),)})
        artifact = write_artifact(tmp_path / name, changed, files, force=False)
        with pytest.raises(InputError, match=complaint):
            respecialise(artifact, tmp_path / "copy", filters=NEW)


def test_a_graph_file_that_is_none(tmp_path):
    manifest, files = files_with_constants()
    for number, content in enumerate([b"", bytes(300), b"\xff" * 300]):
        changed = files | {GRAPH: content}
        artifact = write_artifact(tmp_path / str(number), manifest, changed, force=False)
        with pytest.raises(ArtifactError, match="not a readable graph file"):
            respecialise(artifact, tmp_path / "copy", filters=NEW)


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


@pytest.fixture
def several(tmp_path) -> Artifact:
    """Programs for phi 0.35 and 0.37, with ranges that overlap from 0.355 to 0.36."""
    manifest, files = files_with_constants(
        filters="specialised", fixed={"phi": 0.37, "mode": "fast"}, calibration=None
    )
    (program,), programs = manifest.programs, []
    for number, (phi, knots) in enumerate(((0.35, (0.34, 0.36)), (0.37, (0.355, 0.38))), 1):
        values = np.stack([np.full(OLD.shape, knot, np.float32) for knot in knots])
        name = f"forward_{number}"
        files[f"{name}.curve"] = WeightCurve(
            CurveSpec(input="phi", knots=knots), {FILTER: values}
        ).content()
        own = {"phi": phi, "mode": "fast"}
        update = {"name": name, "fixed": own, "curve": f"{name}.curve"}
        programs.append(program.model_copy(update=update))
    manifest = manifest.model_copy(update={"programs": tuple(programs)})
    return write_artifact(tmp_path / "several", manifest, files, force=False)


@pytest.mark.parametrize(
    ("phi", "program"),
    [
        (0.34, "forward_1"),
        (0.354, "forward_1"),
        (0.359, "forward_1"),  # in both ranges, nearer to 0.35
        (0.36001, "forward_2"),
        (0.37, "forward_2"),
        (0.38, "forward_2"),
    ],
)
def test_the_program_in_whose_range_the_value_lies_changes(several, phi, program):
    change = change_to(several, {"phi": phi})
    assert change.program == program
    assert change.fixed == {"phi": phi, "mode": "fast"}
    np.testing.assert_allclose(change.values[FILTER], phi, rtol=1e-6)
    assert [change.concerns(p) for p in several.manifest.programs].count(True) == 1


@pytest.mark.parametrize("phi", [0.33999, 0.38001, float("nan")])
def test_a_value_in_no_programs_range_is_refused_with_the_ranges(several, phi):
    with pytest.raises(
        InputError, match=r"forward_1 serves 0\.34 to 0\.36, forward_2 serves 0\.355"
    ):
        change_to(several, {"phi": phi})


def test_several_programs_change_by_their_own_number_only(several, tmp_path):
    with pytest.raises(InputError, match="for other values of phi, not of mode"):
        change_to(several, {"mode": 2})
    with pytest.raises(InputError, match="mode=slow must be a number"):
        change_to(several, {"mode": "slow"})
    with pytest.raises(InputError, match="give a new value, not filters"):
        respecialise(several, tmp_path / "copy", filters=NEW)


def test_several_programs_without_curves_are_refused(several, tmp_path):
    programs = tuple(p.model_copy(update={"curve": None}) for p in several.manifest.programs)
    manifest = several.manifest.model_copy(update={"programs": programs, "files": {}})
    names = [n for n in several.manifest.files if not n.endswith(".curve")]
    plain = write_artifact(
        tmp_path / "plain", manifest, {n: several.path(n) for n in names}, force=False
    )
    with pytest.raises(InputError, match=r"contains weights for phi=0\.35, 0\.37 only"):
        change_to(plain, {"phi": 0.351})
