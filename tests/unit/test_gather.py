"""What `edge_pipeline.gather` adds to the search of folders, which tests/unit/isp covers."""

from pathlib import Path

import pytest

from edge_pipeline.errors import CaptureError, InputError, OutputError
from edge_pipeline.gather import Kind, gather, refuse_clashes, refuse_to_replace

KIND = Kind({".png"}, "picture", ignored=(".mask.png",))


def test_a_kind_takes_files_by_suffix_but_not_by_ending(tmp_path: Path) -> None:
    for name in ("a.PNG", "b.txt", "c.mask.png", "C.MASK.PNG", "d.png"):
        (tmp_path / name).touch()
    found = gather([tmp_path, tmp_path / "c.mask.png"], None, KIND)
    assert [each.path.name for each in found.files] == ["a.PNG", "d.png", "c.mask.png"]


def test_the_error_is_that_of_the_kind(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no picture; give another folder"):
        gather([tmp_path], None, KIND)
    with pytest.raises(CaptureError, match="has no RAW file"):
        gather([tmp_path], None, Kind({".dng"}, "RAW file", CaptureError))


def test_clashes_are_found_without_regard_to_case() -> None:
    refuse_clashes([(Path("a.x"), Path("a")), (Path("b.x"), Path("b"))], "rename one")
    with pytest.raises(OutputError, match=r"a\.x and A\.y would both become A; rename one"):
        refuse_clashes([(Path("a.x"), Path("a")), (Path("A.y"), Path("A"))], "rename one")


def test_an_output_that_is_an_input_is_found_through_links(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    (tmp_path / "link").symlink_to(tmp_path / "a")
    refuse_to_replace([tmp_path / "a"], [tmp_path / "b"], "an input")
    with pytest.raises(OutputError, match="is an input and cannot be written"):
        refuse_to_replace([tmp_path / "a"], [tmp_path / "link"], "an input")
