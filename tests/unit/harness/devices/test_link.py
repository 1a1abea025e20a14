"""Copies over a link: checksums, damage, and names that a shell would interpret."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_pipeline.errors import JobError
from edge_pipeline.harness.devices.base import DeviceLostError
from edge_pipeline.harness.devices.link import pull_checked, push_checked, run_checked
from edge_pipeline.harness.devices.local_link import LocalLink
from tests.fakes.local_link import FaultyLink


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "source"
    path.write_bytes(bytes(range(256)) * 9)
    return path


@pytest.fixture
def far(tmp_path):
    (tmp_path / "far").mkdir()
    return tmp_path / "far"


def test_an_equal_file_is_not_copied_again(source, far):
    link = FaultyLink(far)
    assert push_checked(link, {f"{far}/a": source})
    assert not push_checked(link, {f"{far}/a": source})
    source.write_bytes(b"other")
    assert push_checked(link, {f"{far}/a": source})
    assert (far / "a").read_bytes() == b"other"


def test_a_damaged_copy_is_made_once_more(source, far, tmp_path):
    push_checked(FaultyLink(far, damaged_pushes=1), {f"{far}/a": source})
    assert (far / "a").read_bytes() == source.read_bytes()
    pull_checked(FaultyLink(far, damaged_pulls=1), f"{far}/a", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == source.read_bytes()


def test_a_copy_that_is_always_damaged_is_refused_and_removed(source, far, tmp_path):
    with pytest.raises(JobError, match="copy of source on the device is damaged"):
        push_checked(FaultyLink(far, damaged_pushes=9), {f"{far}/a": source})
    assert list(far.iterdir()) == []
    push_checked(FaultyLink(far), {f"{far}/a": source})
    with pytest.raises(JobError, match=r"copy of .*/a from the device is damaged"):
        pull_checked(FaultyLink(far, damaged_pulls=9), f"{far}/a", tmp_path / "back")
    assert not (tmp_path / "back").exists()


def test_a_file_that_is_damaged_later_is_copied_again(source, far):
    link = FaultyLink(far)
    push_checked(link, {f"{far}/a": source})
    (far / "a").write_bytes(b"half")
    assert push_checked(link, {f"{far}/a": source})
    assert (far / "a").read_bytes() == source.read_bytes()


def test_a_connection_that_ends_between_copies_leaves_no_whole_name(source, far):
    link = FaultyLink(far)

    def lose(words):
        link.lost = link.lost or words[:1] == ["sh"]

    link.on_run = lose
    with pytest.raises(DeviceLostError):
        push_checked(link, {f"{far}/a": source})
    assert not (far / "a").exists()


def test_missing_files_and_folders_are_one_sentence(source, far, tmp_path):
    with pytest.raises(JobError, match="No such file or directory"):
        push_checked(FaultyLink(far), {f"{far}/none/a": source})
    with pytest.raises(JobError, match="No such file or directory"):
        pull_checked(FaultyLink(far), f"{far}/none", tmp_path / "back")


def test_a_failed_command_is_told_with_its_purpose_and_last_line(far):
    link = FaultyLink(far)
    assert run_checked(link, ["echo", "a b"], "echoing") == "a b\n"
    with pytest.raises(JobError, match=r"making failed on the device with code 3: second$"):
        run_checked(link, ["sh", "-c", "echo first; echo second >&2; exit 3"], "making")
    with pytest.raises(JobError, match="with code 1: no message"):
        run_checked(link, ["false"], "failing")
    with pytest.raises(JobError, match="with code 127: no-such-program: No such file"):
        run_checked(link, ["no-such-program"], "trying")


def test_a_command_that_hangs_is_given_up():
    link = LocalLink()
    with pytest.raises(DeviceLostError, match=r"sleep did not end in 0\.05 s"):
        link.run(["sleep", "9"], timeout_s=0.05)


NAMES = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1)


@given(NAMES.filter(lambda name: name not in (".", "..") and len(name.encode()) < 200))
def test_any_name_of_a_file_is_copied_there_and_back(name):
    link = LocalLink()
    link.connect()
    try:
        folder = link.folder
        here = LocalLink()
        here.connect()
        source = Path(here.folder) / "source"
        source.write_bytes(name.encode())
        push_checked(link, {f"{folder}/{name}": source})
        pull_checked(link, f"{folder}/{name}", Path(here.folder) / "back")
        assert (Path(here.folder) / "back").read_bytes() == name.encode()
        assert [path.name for path in Path(folder).iterdir()] == [name]
    finally:
        link.close()
        here.close()
    assert not Path(folder).exists()
