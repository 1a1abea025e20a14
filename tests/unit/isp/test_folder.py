"""Planning several captures: nothing is lost, and every picture has a path of its own."""

from pathlib import Path

import pytest

from edge_pipeline.errors import InputError, OutputError
from edge_pipeline.gather import Found
from edge_pipeline.isp.folder import Job, plan


def test_a_name_without_extension_or_with_a_slash_is_a_folder(tmp_path):
    capture = Path("x.dng")
    (tmp_path / "v1.5").mkdir()
    for given in (f"{tmp_path}/new", f"{tmp_path}/new.d/", f"{tmp_path}/v1.5"):
        (job,) = plan([Found(capture)], given, format_name="tiff")
        assert job == Job(capture, Path(given) / "x.tiff", in_folder=True)


@pytest.mark.parametrize(
    ("captures", "target", "options", "said"),
    [
        (["a/x.dng", "b/x.dng"], "out", {}, "a/x.dng and b/x.dng would both become out/x.jpg"),
        (["x.dng", "x.nef"], "out", {}, "would both become out/x.jpg"),
        (["x.dng", "X.dng"], "out", {}, "would both become"),
        (["x.dng", "x.dng"], "out", {}, "would both become"),
        (["a.dng", "b.dng"], "c.jpg", {}, "2 captures cannot go into the one file c.jpg"),
        (["a.dng"], "c.webp", {}, "the extension '.webp'; expected one of .jpg, .png"),
        (["a.dng"], "c.png", {"format_name": "jpg"}, "c.png is a png by its extension"),
        (["a.dng"], "out", {"format_name": "gif"}, "no picture format is called 'gif'"),
        (["a.tiff"], "a.tiff", {}, "a.tiff is a capture to develop and cannot be written"),
        (["./d/../a.tiff", "b.dng"], ".", {"format_name": "tiff"}, "a.tiff is a capture"),
        (["a.dng"], "", {}, "the output has no name"),
        (["a.dng"], "d/.jpg", {}, "d/.jpg is an extension without a name; give picture.jpg"),
        (["a.dng"], "a" * 300, {}, "File name too long"),
        (["a.dng"], f"{'a' * 300}.jpg", {}, "File name too long"),
        ([], "out", {}, "no capture"),
    ],
)
def test_plans_that_would_lose_something_are_refused(
    tmp_path, monkeypatch, captures, target, options, said
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=said.replace(".", r"\.")):
        plan([Found(Path(capture)) for capture in captures], target, **options)


def test_a_file_where_the_folder_should_be_is_refused(tmp_path):
    (tmp_path / "out").write_text("a file")
    with pytest.raises(OutputError, match="is a file, not a folder"):
        plan([Found(Path("x.dng"))], f"{tmp_path}/out")


def test_a_link_to_a_capture_counts_as_the_capture(tmp_path):
    capture = tmp_path / "a.dng"
    capture.write_bytes(b"raw")
    (tmp_path / "out.jpg").symlink_to(capture)
    with pytest.raises(OutputError, match="is a capture to develop"):
        plan([Found(capture)], f"{tmp_path}/out.jpg")


@pytest.mark.parametrize(
    ("asked", "suffix"),
    [("tif", ".tif"), ("jpeg", ".jpeg"), ("TIFF", ".tiff"), (None, ".jpg"), ("png", ".png")],
)
def test_a_format_has_several_spellings(asked, suffix):
    (job,) = plan([Found(Path("x.dng"))], "out", format_name=asked)
    assert job.picture == Path(f"out/x{suffix}")


def test_spellings_of_one_format_agree_with_the_extension():
    (job,) = plan([Found(Path("x.dng"))], "x.tiff", format_name="tif")
    assert job == Job(Path("x.dng"), Path("x.tiff"))


def test_sub_folders_are_kept_and_keep_names_apart():
    found = [Found(Path("in/a/x.dng"), Path("a")), Found(Path("in/b/x.dng"), Path("b"))]
    jobs = plan(found, "out")
    assert [job.picture for job in jobs] == [Path("out/a/x.jpg"), Path("out/b/x.jpg")]


def test_captures_of_one_name_in_one_sub_folder_are_refused():
    found = [Found(Path("in/a/x.dng"), Path("a")), Found(Path("in/a/X.NEF"), Path("a"))]
    with pytest.raises(OutputError, match="would both become"):
        plan(found, "out")
