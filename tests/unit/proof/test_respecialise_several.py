"""Other values of a fixed input in an artifact of several programs."""

import numpy as np
import pytest

from edge_pipeline.artifact.draft import write_artifact
from edge_pipeline.artifact.store import Artifact
from edge_pipeline.artifact.weight_curve import CurveSpec, WeightCurve
from edge_pipeline.errors import (
    InputError,
)
from edge_pipeline.proof.changes import change_to
from edge_pipeline.proof.respecialise import respecialise
from tests.fakes.artifacts import FILTER
from tests.fakes.constants import NEW, OLD, files_with_constants


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
