"""A sweep can be interrupted after any point, and continues with the next one."""

import pytest

from edge_pipeline.errors import InputError
from edge_pipeline.select.record import RECORDS_FILE, read_sweep
from edge_pipeline.sweep.folder import Folder
from edge_pipeline.sweep.run import evaluate_proposals
from edge_pipeline.sweep.strategies import Goal, Listed, open_strategy
from tests.fakes.sweeps import make_point, make_setting

PHIS = [0.1, 0.2, 0.3, 0.4]


class _Evaluation:
    """Evaluates points without pictures, until it is interrupted."""

    def __init__(self, fails_at=None):
        self.asked, self._fails_at = [], fails_at

    def __call__(self, phi, on_picture):
        if len(self.asked) == self._fails_at:
            raise KeyboardInterrupt
        self.asked.append(phi)
        on_picture(0)
        on_picture(1)
        return make_point(phi, 0.5 + phi / 2, round(1000 * phi))


@pytest.mark.parametrize("after", range(4))
def test_a_resumed_sweep_evaluates_only_what_is_missing(tmp_path, after):
    with pytest.raises(KeyboardInterrupt):
        evaluate_proposals(Folder(tmp_path, make_setting()), Listed(PHIS), _Evaluation(after))
    again, whole = _Evaluation(), _Evaluation()
    evaluate_proposals(Folder(tmp_path, make_setting()), Listed(PHIS), again)
    assert again.asked == PHIS[after:]
    evaluate_proposals(Folder(tmp_path / "whole", make_setting()), Listed(PHIS), whole)
    assert read_sweep(tmp_path) == read_sweep(tmp_path / "whole")


def test_a_resumed_search_makes_the_same_proposals(tmp_path):
    pytest.importorskip("optuna", reason="the strategy tpe needs Optuna (extra train)")
    grid = [k / 100 for k in range(1, 101)]

    def search(folder, evaluation):
        goal = Goal("macs", "dice", 0.7)
        strategy = open_strategy("tpe", grid, trials=14, seed=1, goal=goal)
        return evaluate_proposals(Folder(folder, make_setting()), strategy, evaluation)

    first, second, whole = _Evaluation(6), _Evaluation(), _Evaluation()
    with pytest.raises(KeyboardInterrupt):
        search(tmp_path, first)
    assert search(tmp_path, second) == search(tmp_path / "whole", whole)
    assert first.asked + second.asked == whole.asked


def test_every_point_is_stored_before_the_next_one(tmp_path):
    def evaluate(phi, on_picture):
        stored = read_sweep(tmp_path).points if (tmp_path / RECORDS_FILE).exists() else ()
        assert [point.phi for point in stored] == PHIS[: PHIS.index(phi)]
        return make_point(phi, 0.5, 10)

    evaluate_proposals(Folder(tmp_path, make_setting()), Listed(PHIS), evaluate)


def test_progress_names_phi_proposal_and_picture(tmp_path):
    seen = []
    folder = Folder(tmp_path, make_setting())
    evaluate_proposals(folder, Listed(PHIS[:2]), _Evaluation(), seen.append)
    assert [(p.phi, p.proposal, p.proposals, p.picture, p.pictures) for p in seen] == [
        (0.1, 1, 2, 1, 2),
        (0.1, 1, 2, 2, 2),
        (0.2, 2, 2, 1, 2),
        (0.2, 2, 2, 2, 2),
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"split": "test"}, r"another split \(val, not test\); give another folder"),
        ({"checkpoint_sha256": "1" * 64}, "another checkpoint_sha256"),
        ({"resize": None}, "another resize"),
        ({"pictures": ("b", "c")}, "another pictures .2 pictures from a on, not 2 pictures from b"),
    ],
)
def test_records_of_another_setting_are_kept(tmp_path, change, message):
    evaluate_proposals(Folder(tmp_path, make_setting()), Listed(PHIS[:1]), _Evaluation())
    before = (tmp_path / RECORDS_FILE).read_bytes()
    with pytest.raises(InputError, match=message):
        Folder(tmp_path, make_setting(**change))
    assert (tmp_path / RECORDS_FILE).read_bytes() == before


def test_a_moved_checkpoint_is_the_same_checkpoint(tmp_path):
    evaluate_proposals(Folder(tmp_path, make_setting()), Listed(PHIS[:1]), _Evaluation())
    moved = Folder(tmp_path, make_setting(checkpoint="elsewhere.safetensors"))
    assert len(moved.sweep.points) == 1
    assert moved.sweep.setting.checkpoint == "elsewhere.safetensors"


def test_damaged_records_are_refused(tmp_path):
    (tmp_path / RECORDS_FILE).write_text('{"schema_version": 1')
    with pytest.raises(InputError, match="has no records of a sweep"):
        Folder(tmp_path, make_setting())
