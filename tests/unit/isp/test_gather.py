"""Captures in folders."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_pipeline.errors import CaptureError
from edge_pipeline.gather import Found
from edge_pipeline.isp.gather import RAW_SUFFIXES, gather
from edge_pipeline.isp.output import FORMATS


def tree(top: Path, *names: str) -> Path:
    for name in names:
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).touch()
    return top


def names(found: list[Found], top: Path) -> list[str]:
    assert all(f.path == top / f.folder / f.path.name for f in found)
    return [str(f.path.relative_to(top)) for f in found]


def test_a_folder_gives_its_raw_files_sorted_with_their_folders(tmp_path: Path) -> None:
    top = tree(tmp_path / "in", "b.NEF", "a.dng", "day/1/c.Cr2", "day/notes.txt", "day/1/c.jpg")
    found = gather([top], None)
    assert names(found.files, top) == ["a.dng", "b.NEF", "day/1/c.Cr2"]
    assert found.files[2].folder == Path("day/1")
    assert found.from_folder


def test_hidden_files_and_folders_are_ignored(tmp_path: Path) -> None:
    top = tree(tmp_path, "a.dng", "._a.dng", ".Trash/b.dng", "x/.hidden/c.dng")
    assert names(gather([top], None).files, top) == ["a.dng"]


def test_a_file_is_taken_whatever_its_name(tmp_path: Path) -> None:
    assert gather([Path("x.txt"), Path(".y")], None).files == [
        Found(Path("x.txt")),
        Found(Path(".y")),
    ]


def test_the_output_folder_below_an_input_is_not_searched(tmp_path: Path) -> None:
    top = tree(tmp_path, "a.dng", "out/b.dng", "sub/c.dng")
    assert names(gather([top], top / "out").files, top) == ["a.dng", "sub/c.dng"]
    assert names(gather([top], top).files, top) == ["a.dng", "out/b.dng", "sub/c.dng"]


def test_no_picture_is_a_capture() -> None:
    assert not RAW_SUFFIXES & FORMATS.keys()


def test_links_in_a_circle_end_and_no_file_comes_twice(tmp_path: Path) -> None:
    top = tree(tmp_path / "in", "a/x.dng", "z/y.dng")
    outside = tree(tmp_path / "outside", "o.dng")
    (top / "a" / "up").symlink_to(top)
    (top / "first").symlink_to(top / "z")
    (top / "link").symlink_to(outside)
    (outside / "back").symlink_to(top)
    (top / "self").symlink_to("self")
    assert names(gather([top], None).files, top) == ["a/x.dng", "z/y.dng", "link/o.dng"]


def test_a_folder_without_captures_is_refused(tmp_path: Path) -> None:
    tree(tmp_path, "a.jpg")
    with pytest.raises(CaptureError, match="has no RAW file"):
        gather([tmp_path], None)


def test_described_captures_are_raw_only(tmp_path: Path) -> None:
    tree(tmp_path, "a.raw", "b.RAW", "c.dng")
    assert names(gather([tmp_path], None, headerless=True).files, tmp_path) == ["a.raw", "b.RAW"]
    (tmp_path / "d").mkdir()
    tree(tmp_path / "d", "c.dng")
    with pytest.raises(CaptureError, match=r"no headerless file \(.raw\)"):
        gather([tmp_path / "d"], None, headerless=True)


def test_a_sub_folder_that_cannot_be_read_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    top = tree(tmp_path, "a.dng", "locked/b.dng")
    scan = os.scandir

    def locked(folder: Path) -> object:
        if Path(folder).name == "locked":
            raise PermissionError(13, "Permission denied")
        return scan(folder)

    monkeypatch.setattr(os, "scandir", locked)
    found = gather([top], None)
    assert names(found.files, top) == ["a.dng"]
    assert [str(error) for error in found.unreadable] == [
        f"the folder {top / 'locked'} cannot be read: permission denied; check its permissions"
    ]
    with pytest.raises(CaptureError, match="cannot be read"):
        gather([top / "locked"], None)


def test_paths_that_the_system_refuses_are_files(tmp_path: Path) -> None:
    long = Path("a" * 300)
    assert gather([long], None).files == [Found(long)]


@given(st.sampled_from(sorted(RAW_SUFFIXES)), st.data())
def test_the_case_of_a_suffix_does_not_matter(suffix: str, data: st.DataObject) -> None:
    spelled = "".join(data.draw(st.sampled_from([c.lower(), c.upper()])) for c in suffix)
    assert Path("x" + spelled).suffix.lower() in RAW_SUFFIXES
