"""`edge-pipeline data`: the list, the terms, and refusals in one sentence."""

import pytest

from edge_pipeline.cli.main import main
from edge_pipeline.data import fetch as fetching


@pytest.fixture(autouse=True)
def empty_root(tmp_path, monkeypatch):
    monkeypatch.setenv("EDGE_PIPELINE_DATA", str(tmp_path / "root"))
    return tmp_path / "root"


def test_the_list_shows_root_state_and_licence(capsys, empty_root):
    (empty_root / "photos").mkdir(parents=True)
    assert main(["data", "list"]) == 0
    out = capsys.readouterr().out
    assert f"data root: {empty_root}" in out
    assert "photos (present; Unsplash licence)" in out
    assert "camvid (absent; CC BY-NC 4.0)" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fetch"], "needs the name of a data set"),
        (["fetch", "kodak_full"], "give --yes to accept them"),
        (["fetch", "kodac", "--yes"], "no data set is called 'kodac'"),
        (["fetch", "real_captures", "--yes"], "cannot be fetched"),
        (["list", "photos"], "takes no name and no options"),
    ],
)
def test_refusals_are_one_sentence(arguments, message, capsys, empty_root):
    assert main(["data", *arguments]) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ")
    assert message in err
    assert err.count("\n") == 1
    assert not empty_root.exists()


def test_terms_are_shown_before_anything_is_fetched(capsys, monkeypatch, empty_root):
    shown = []

    def fetch(known, *, source, on_file):
        shown.append(capsys.readouterr().out)
        on_file(known.files[0].path)
        return 1

    monkeypatch.setattr(fetching, "fetch", fetch)
    assert main(["data", "fetch", "photos", "--yes"]) == 0
    assert "Unsplash licence: the photographs may be downloaded" in shown[0]
    assert f"fetched 1 of 30 files into {empty_root / 'photos'}" in capsys.readouterr().out


def test_a_home_that_cannot_be_reached_is_a_failed_job(capsys):
    mirror = ["--from", "http://127.0.0.1:9/mirror"]
    assert main(["data", "fetch", "kodak_full", "--yes", *mirror]) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: http://127.0.0.1:9/mirror/kodim01.png cannot be fetched")
