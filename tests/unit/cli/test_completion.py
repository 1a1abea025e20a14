"""A shell completes verbs, options and backends, without importing torch."""

import os
import subprocess
import sys

import pytest

PROGRAM = """
import sys
from edge_pipeline.cli.main import main
try:
    main()
finally:
    sys.stderr.write(f"torch: {'torch' in sys.modules}")
"""


def complete(words: str) -> list[str]:
    """What bash offers for the last of `words`, which is empty after a space."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={
            **os.environ,
            "_EDGE_PIPELINE_COMPLETE": "complete_bash",
            "COMP_WORDS": words,
            "COMP_CWORD": str(len(words.split(" ")) - 1),
        },
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stderr == "torch: False"
    return done.stdout.split()


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("edge-pipeline dev", ["develop", "devices"]),
        ("edge-pipeline be", ["bench"]),
        ("edge-pipeline develop --expo", ["--exposure"]),
        ("edge-pipeline compile x --tflite", ["--tflite-runtime"]),
        ("edge-pipeline compile x --backend exec", [
            "executorch", "executorch_coreml", "executorch_vulkan",
        ]),
        ("edge-pipeline bisect x --backend o", ["onnx"]),
    ],
)  # fmt: skip
def test_the_last_word_is_completed(words: str, offered: list[str]) -> None:
    assert complete(words) == offered


def test_the_script_of_a_shell_can_be_shown() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, "--show-completion", "bash"],
        env={**os.environ, "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "complete -o default -F _edge_pipeline_completion edge-pipeline" in done.stdout
