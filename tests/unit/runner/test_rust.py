"""The unit tests of edge_runner's own code, and its formatting."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[3] / "devices" / "runner"
TARGET = "aarch64-unknown-linux-musl"

pytestmark = pytest.mark.skipif(shutil.which("cargo") is None, reason="Rust is not installed")


@pytest.mark.slow
def test_the_unit_tests_in_rust_pass(runner):
    environment = os.environ | {
        "CARGO_TARGET_AARCH64_UNKNOWN_LINUX_MUSL_RUNNER": " ".join(runner.command[:-1]) or "env"
    }
    command = ["cargo", "test", "--release", "--locked", "--target", TARGET]
    done = subprocess.run(command, cwd=SOURCE, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "test result: ok" in done.stdout
    assert " 0 passed" not in done.stdout


def test_the_source_is_formatted():
    if shutil.which("rustfmt") is None:
        pytest.skip("rustfmt is not installed")
    done = subprocess.run(["cargo", "fmt", "--check"], cwd=SOURCE, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
