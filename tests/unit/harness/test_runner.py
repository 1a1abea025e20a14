"""The search for the executable that runs programs on devices."""

import platform
import shutil

import pytest

from edge_pipeline.errors import InputError
from edge_pipeline.harness.runner import cached_runner, find_runner

HEAD = b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x02\x00"


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path


def test_it_is_in_the_cache(cache):
    path = cached_runner()
    assert path.is_relative_to(cache)
    path.parent.mkdir(parents=True)
    path.write_bytes(HEAD + b"\xb7\x00")
    assert find_runner() == path


def test_a_choice_comes_first(tmp_path):
    path = tmp_path / "mine"
    path.write_bytes(HEAD + b"\xb7\x00")
    assert find_runner(path) == path


def test_without_one_the_remedy_is_named():
    with pytest.raises(InputError, match="make runner"):
        find_runner()


def test_other_files_are_refused(tmp_path):
    path = tmp_path / "other"
    for content in (b"", b"#!/bin/sh\n" * 9, HEAD + b"\x3e\x00", HEAD):
        path.write_bytes(content)
        with pytest.raises(InputError, match="AArch64"):
            find_runner(path)
    with pytest.raises(InputError, match="Is a directory"):
        find_runner(tmp_path)


@pytest.mark.skipif(platform.machine() == "aarch64", reason="this machine is an Arm machine")
def test_a_program_of_another_machine_is_refused(tmp_path):
    path = tmp_path / "sh"
    shutil.copy("/bin/sh", path)
    with pytest.raises(InputError, match="AArch64"):
        find_runner(path)
