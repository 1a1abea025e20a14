"""tflite-runtime as boards have it: agreement, refusals and errors each become one sentence."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest

from edge_pipeline.artifact.manifest import Delegation, ProgramSpec
from edge_pipeline.artifact.schema import Precision
from edge_pipeline.artifact.tensors import TensorSpec
from edge_pipeline.compiler.backends.litert import board
from edge_pipeline.compiler.backends.litert.board import (
    check_board,
    make_environment,
    unchecked_note,
)
from edge_pipeline.errors import InputError, RuntimeFailure

PYTHON = "EDGE_PIPELINE_TFLITE_RUNTIME"
X = np.array([[1.0, 2.0]], np.float32)

# A tflite-runtime of five lines, so that this file is tested where there is none.
FAKE = """
import numpy as np

class Interpreter:
    def __init__(self, model_path, num_threads):
        self.text = open(model_path).read()
    def allocate_tensors(self):
        if self.text == "newer":
            raise ValueError("first line\\nDidn't find op for builtin opcode 'GELU' version '2'")
    def get_signature_runner(self):
        return lambda x: {"y": (x * float(self.text)).astype(np.float32)}
"""


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An interpreter that has the fake."""
    folder = tmp_path_factory.mktemp("board")
    package, info = folder / "tflite_runtime", folder / "tflite_runtime-2.14.0.dist-info"
    package.mkdir()
    info.mkdir()
    (package / "__init__.py").touch()
    (package / "interpreter.py").write_text(FAKE)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: tflite-runtime\nVersion: 2.14.0\n")
    path = folder / "python"
    start = f"import sys; sys.path.insert(0, {str(folder)!r})"
    # Isolated mode takes no path from outside, so the fake is put into what is run.
    path.write_text(
        f"#!{sys.executable}\n{start}\nimport runpy\nrest = sys.argv[2:]\n"
        "if rest[0] == '-c':\n    exec(rest[1])\nelse:\n    sys.argv = rest\n"
        "    runpy.run_path(rest[0], run_name='__main__')\n"
    )
    path.chmod(0o755)
    return path


def spec() -> ProgramSpec:
    def tensor(name: str) -> TensorSpec:
        return TensorSpec(name=name, shape=(1, 2), layout="NC", meaning="a test's")

    return ProgramSpec(
        name="forward",
        file="forward.tflite",
        inputs=(tensor("x"),),
        outputs=(tensor("y"),),
        macs=0,
        flops=0,
        delegation=Delegation(delegate="XNNPACK", delegated={}, outside={}),
        reference="r.safetensors",
    )


def check(tmp_path: Path, python: Path, text: str, expected: np.ndarray) -> board.BoardCheck:
    (tmp_path / "m.tflite").write_text(text)
    return check_board(tmp_path / "m.tflite", spec(), "fp32", {"x": X}, {"y": expected}, python)


def test_agreement_is_told_with_its_error(tmp_path: Path, python: Path) -> None:
    found = check(tmp_path, python, "3", X * np.float32(3 * (1 + 2e-5)))
    assert found.passed
    assert found.note() == "forward: checked with tflite-runtime 2.14.0: relative error 2e-05"


def test_wrong_values_need_litert(tmp_path: Path, python: Path) -> None:
    found = check(tmp_path, python, "3", X * 4)
    assert not found.passed
    assert found.note() == (
        "forward: requires LiteRT: with tflite-runtime 2.14.0 y is wrong: relative error 0.25 is "
        "not below 0.0001"
    )


def test_a_file_that_is_too_new_needs_litert(tmp_path: Path, python: Path) -> None:
    found = check(tmp_path, python, "newer", X)
    assert found.note() == (
        "forward: requires LiteRT: with tflite-runtime 2.14.0 it cannot be run: "
        "Didn't find op for builtin opcode 'GELU' version '2'"
    )


def test_values_that_are_no_numbers_need_litert(tmp_path: Path, python: Path) -> None:
    assert "requires LiteRT" in check(tmp_path, python, "nan", X).note()


def test_an_output_of_another_name_needs_litert(tmp_path: Path, python: Path) -> None:
    (tmp_path / "m.tflite").write_text("1")
    named = spec().model_copy(
        update={"outputs": (spec().outputs[0].model_copy(update={"name": "z"}),)}
    )
    found = check_board(tmp_path / "m.tflite", named, "fp32", {"x": X}, {"z": X}, python)
    assert found.complaint == "it has no output called 'z'"


def test_what_was_not_checked_needs_litert() -> None:
    assert unchecked_note("forward").startswith("forward: requires LiteRT: ")


def test_an_interpreter_without_the_runtime_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"has no tflite-runtime .*tflite-runtime==2\.14\.0"):
        check(tmp_path, Path(sys.executable), "3", X)
    with pytest.raises(InputError, match="is not a Python interpreter"):
        check(tmp_path, tmp_path / "python", "3", X)


def test_an_environment_that_cannot_be_made_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 11, 0))
    monkeypatch.setattr(sys, "executable", "false")
    with pytest.raises(RuntimeFailure, match=r"Python 3\.8 to 3\.11: no message was printed"):
        make_environment(tmp_path)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "absent"))
    with pytest.raises(RuntimeFailure, match="No such file"):
        make_environment(tmp_path)


def test_an_environment_is_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[list[str]] = []
    monkeypatch.setattr(sys, "version_info", (3, 11, 0))

    def call(command: list[str]) -> None:
        calls.append(command)
        if "venv" in command:
            Path(command[-1]).mkdir()

    monkeypatch.setattr(board, "_call", call)
    python = make_environment(tmp_path)
    assert make_environment(tmp_path) == python
    assert len(calls) == 2
    assert calls[1][0] == str(python)
    assert "numpy<2" in calls[1]


def test_a_newer_python_creates_it_with_an_older_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[list[str]] = []
    monkeypatch.setattr(board, "_call", calls.append)
    monkeypatch.setattr(sys, "version_info", (3, 13, 0))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(
        InputError, match=r"3\.8 to 3\.11, and this is Python 3\.13; install one of"
    ):
        make_environment(tmp_path / "cache")
    for name, body in (("python3.11", "exit 127"), ("python3.10", "exit 0")):  # a stub, a Python
        (tmp_path / name).write_text(f"#!/bin/sh\n{body}\n")
        (tmp_path / name).chmod(0o755)
    with pytest.raises(RuntimeFailure, match="cannot be created"):
        make_environment(tmp_path / "cache")  # the doubles create no folder
    assert calls[0][0] == str(tmp_path / "python3.10")
    assert "py310" in calls[0][-1]


@pytest.mark.slow
@pytest.mark.skipif(PYTHON not in os.environ, reason=f"{PYTHON} names no interpreter")
class TestTheRealOne:
    """With `EDGE_PIPELINE_TFLITE_RUNTIME`, the interpreter of an environment with it."""

    @pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
    def test_a_predictor_in_every_precision(self, tmp_path: Path, precision: Precision) -> None:
        torch = pytest.importorskip("torch")
        pytest.importorskip("litert_torch", reason="the litert extra is not installed")
        from edge_pipeline.compiler.backends.base import EmitOptions
        from edge_pipeline.compiler.backends.litert import backend as litert
        from tests.programs import exported

        torch.manual_seed(0)
        layers = torch.nn.Linear(2, 64), torch.nn.GELU(), torch.nn.Linear(64, 2)
        with torch.no_grad():  # channels of unlike size, which one scale for all would lose
            layers[2].weight[0] *= 30
        network = torch.nn.Sequential(*layers).eval()
        samples = tuple((torch.rand(1, 2) * 2.5,) for _ in range(32))
        options = EmitOptions("forward", ["x"], ["y"], precision=precision, samples=samples)
        emitted = litert.emit(exported(network, torch.from_numpy(X)), options)
        (tmp_path / "m.tflite").write_bytes(emitted.files["forward.tflite"])
        expected = network(torch.from_numpy(X)).detach().numpy()
        found = check_board(
            tmp_path / "m.tflite",
            spec(),
            precision,
            {"x": X},
            {"y": expected},
            Path(os.environ[PYTHON]),
        )
        assert found.passed, found.note()
