"""`report` as it is typed."""

import csv

import pytest

from edge_pipeline.cli.main import main
from edge_pipeline.record import append_records, records_text
from tests.fakes.artifacts import make_artifact
from tests.fakes.measurements import many_records
from tests.fakes.records import make_record


def test_measured_records_become_every_kind_of_report(tmp_path, capsys):
    artifact = str(make_artifact(tmp_path / "a").folder)
    records = str(tmp_path / "records.jsonl")
    words = ["--runs", "30", "--seconds", "0", "--warmup", "1"]
    assert main(["bench", artifact, "--records", records, *words]) == 0
    capsys.readouterr()
    for name, start in {"r.html": "<!doctype html>", "r.CSV": "name,", "r.md": "# Mea"}.items():
        target = tmp_path / "new" / name
        assert main(["report", records, "-o", str(target)]) == 0
        assert target.read_text(encoding="utf-8").startswith(start)
        assert capsys.readouterr().out == f"wrote {target}\n"


def test_several_files_are_one_report_and_a_file_counts_once(tmp_path):
    first, second, target = (tmp_path / name for name in ("a.jsonl", "b.jsonl", "r.csv"))
    append_records(first, many_records()[:3])
    append_records(second, many_records()[6:8])
    assert main(["report", str(first), str(second), str(first), "-o", str(target)]) == 0
    with target.open() as file:
        assert len(list(csv.DictReader(file))) == 5


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "contains no record; measure with"),
        (b"\n\n", "contains no record; measure with"),
        (b"{}\n", "line 1, is not a record of a measurement"),
        (b"\x89PNG\n", "line 1, is not a record of a measurement"),
        (
            (records_text([make_record()]) + records_text([make_record()]).replace(
                '"schema_version":2', '"schema_version":1')).encode(),
            "line 2, is not a record of a measurement: at schema_version, this version of the "
            "software reads version 2; measure again",
        ),
    ],
    ids=["empty", "blank", "object", "picture", "versions"],
)  # fmt: skip
def test_what_is_no_record_ends_with_two_and_one_sentence(tmp_path, capsys, content, message):
    path, target = tmp_path / "x.jsonl", tmp_path / "r.html"
    path.write_bytes(content)
    assert main(["report", str(path), "-o", str(target)]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.startswith("error: ")
    assert said.count("\n") == 1
    assert not target.exists()


def test_an_absent_file_a_folder_and_another_ending_are_refused(tmp_path, capsys):
    records = tmp_path / "x.jsonl"
    append_records(records, [make_record()])
    for words, message in (
        ([str(tmp_path / "none"), "-o", "r.html"], "cannot read"),
        ([str(tmp_path), "-o", "r.html"], "cannot read"),
        ([str(records), "-o", str(tmp_path / "r.pdf")], "must end with .html, .csv, .md"),
        ([str(records), "-o", str(tmp_path / "r")], "must end with .html, .csv, .md"),
    ):
        assert main(["report", *words]) == 2
        said = capsys.readouterr().err
        assert message in said
        assert said.count("\n") == 1


def test_a_report_that_cannot_be_written_leaves_the_old_one(tmp_path, capsys, monkeypatch):
    records, target = tmp_path / "x.jsonl", tmp_path / "r.html"
    append_records(records, [make_record()])
    target.write_text("old")

    def full(*_args, **_kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_text", full)
    assert main(["report", str(records), "-o", str(target)]) == 1
    assert "No space left" in capsys.readouterr().err
    assert target.read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["r.html", "x.jsonl"]
