"""The tool that builds edge_runner, with other programs in the place of cargo and rustup."""

import sys

import pytest

from tools import build_runner


@pytest.fixture
def tools(tmp_path, monkeypatch):
    """Return a function that writes a shell script as a tool; no other tool is found."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    built = tmp_path / "built"
    built.write_bytes(b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x02\x00\xb7\x00")
    monkeypatch.setattr(build_runner, "_BUILT", built)

    def write(name, script):
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)

    return write


def run(monkeypatch, tmp_path, *arguments):
    monkeypatch.setattr(
        sys, "argv", ["build_runner", "-o", str(tmp_path / "out" / "runner"), *arguments]
    )
    return build_runner.main()


def test_it_installs_the_target_and_the_result(tools, tmp_path, monkeypatch, capfd):
    tools("cargo", 'echo "$@"')
    tools("rustc", "echo /nonexistent")
    tools("rustup", 'echo "$@"')
    assert run(monkeypatch, tmp_path) == 0
    lines = capfd.readouterr().out
    assert "target add aarch64-unknown-linux-musl" in lines
    assert "build --release --locked --target aarch64-unknown-linux-musl" in lines
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["runner"]


def test_a_missing_tool_is_an_error_unless_it_may_be_missing(tools, tmp_path, monkeypatch, capfd):
    assert run(monkeypatch, tmp_path) == 1
    assert "install Rust" in capfd.readouterr().err
    assert run(monkeypatch, tmp_path, "--if-possible") == 0
    tools("cargo", "exit 1")
    tools("rustc", "echo /nonexistent")
    assert run(monkeypatch, tmp_path) == 1
    assert "by rustup" in capfd.readouterr().err
    tools("rustup", "exit 1")
    assert run(monkeypatch, tmp_path) == 1
    assert "could not install the target" in capfd.readouterr().err
    tools("rustc", "echo /")
    assert run(monkeypatch, tmp_path) == 1
    assert "could not download" in capfd.readouterr().err


def test_a_source_that_does_not_compile_is_always_an_error(tools, tmp_path, monkeypatch, capfd):
    tools("rustc", "echo /")
    tools("cargo", '[ "$1" = fetch ]')
    assert run(monkeypatch, tmp_path, "--if-possible") == 1
    assert "could not build" in capfd.readouterr().err
    assert not (tmp_path / "out").exists()
