"""What a native library logs is kept away; what others write is not lost."""

import os

import pytest

from edge_pipeline.runtime.native import native_silence


def test_the_librarys_lines_are_kept_and_others_handed_on(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with native_silence() as heard:
        os.write(2, b"INFO: Created TensorFlow Lite XNNPACK delegate for CPU.\n")
        os.write(2, b"progress 50 %\n")
        os.write(2, b"I0000 00:00:1795258884.093965   20345 flatbuffer_export.cc:4410] a count\n")
        assert heard == []
    assert capfd.readouterr() == ("", "progress 50 %\n")
    assert [line.split(" ")[0] for line in heard] == ["INFO:", "I0000"]
    os.write(2, b"INFO: after\n")
    assert capfd.readouterr().err == "INFO: after\n"


def test_standard_error_is_given_back_when_the_block_fails(
    capfd: pytest.CaptureFixture[str],
) -> None:
    def fail() -> None:
        with native_silence():
            os.write(2, b"ERROR: from the library\n")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    os.write(2, b"still here\n")
    assert capfd.readouterr().err == "still here\n"


def test_blocks_may_nest(capfd: pytest.CaptureFixture[str]) -> None:
    with native_silence() as outer, native_silence() as inner:
        os.write(2, b"INFO: one\nanother's\n")
    assert (inner, outer) == (["INFO: one"], [])
    assert capfd.readouterr().err == "another's\n"


def test_without_a_standard_error_it_does_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(_: int) -> int:
        raise OSError(9, "Bad file descriptor")

    monkeypatch.setattr(os, "dup", closed)
    with native_silence() as heard:
        pass
    assert heard == []
