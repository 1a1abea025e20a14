"""The environment on a board: made once, never half, and every failure in one sentence."""

import ast
import json
import re
import sys
import zipfile
from io import BytesIO
from pathlib import Path

import pytest

from edge_pipeline.errors import InputError, JobError
from edge_pipeline.harness.devices import board_setup
from edge_pipeline.harness.devices.board_python import board_runners
from edge_pipeline.harness.devices.bundle import bundle_bytes, bundle_name
from edge_pipeline.harness.devices.requirements import PINS, requirements_of
from tests.fakes.local_link import FaultyLink


def _board(folder, script):
    """A board whose `python3` is a shell script."""
    (folder / "bin").mkdir(parents=True)
    if script is not None:
        program = folder / "bin" / "python3"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
    link = FaultyLink(folder / "work")

    def on_board(words):
        if words[0] == "python3":
            words[0] = str(folder / "bin" / "python3")

    link.on_run = lambda _words: None
    real_run, real_start = link.run, link.start

    def run(words, **options):
        words = list(words)
        on_board(words)
        return real_run(words, **options)

    def start(words, stderr):
        words = list(words)
        on_board(words)
        return real_start(words, stderr)

    link.run, link.start = run, start
    return link


def _failure(tmp_path, script):
    link = _board(tmp_path, script)
    runner = board_runners("ssh:pi", link, None, lambda _step: None)[0]
    with pytest.raises((InputError, JobError)) as caught:
        runner.install(link, "unused")
    return caught.value


def _answering(line):
    return f"if [ \"$1\" = - ]; then cat > /dev/null; echo '{line}'; else echo 3.11.2; fi"


@pytest.mark.parametrize(
    ("script", "kind", "message"),
    [
        (None, InputError, "ssh:pi has no python3; install it there"),
        (_answering('{"error": "old", "detail": "3.10.12"}'), InputError, "has Python 3.10.12"),
        (_answering('{"error": "venv", "detail": ""}'), InputError, "apt-get install python3-venv"),
        (
            _answering('{"error": "wheel", "detail": "onnxruntime==9"}'),
            InputError,
            "no wheel of onnxruntime==9 for Python 3.11.2",
        ),
        (_answering('{"error": "network", "detail": ""}'), JobError, "cannot reach the package"),
        (_answering('{"error": "disk", "detail": "full"}'), JobError, "stored on ssh:pi: full"),
        (_answering('{"error": "pip", "detail": ""}'), JobError, "pip could not install"),
        (_answering("Killed"), JobError, "ended without a result"),
        ("exit 1", JobError, "ended without a result"),
    ],
)
def test_a_board_that_cannot_is_told_in_one_sentence(tmp_path, script, kind, message):
    error = _failure(tmp_path, script)
    assert type(error) is kind
    assert message in str(error)


def test_the_order_names_versions_and_steps_are_shown(tmp_path):
    lines = f'cat > /dev/null; printf %s "$2" > {tmp_path}/order; '
    lines += """echo '{"step": "resting"}'; echo '{"python": "/env/bin/python"}'"""
    link = _board(tmp_path, f'if [ "$1" = - ]; then {lines}; else echo 3.11.2; fi')
    steps = []
    runner = board_runners("ssh:pi", link, None, steps.append)[1]
    runner.install(link, "unused")
    assert steps == ["resting on ssh:pi"]
    assert runner.backends == {"litert"}
    order = json.loads((tmp_path / "order").read_text())
    assert order["root"] == str(tmp_path)
    assert f"ai-edge-litert=={PINS['ai-edge-litert']}" in order["requirements"]
    words = runner.command(3)
    assert words[-5:] == ["/env/bin/python", "-s", "-P", "-m", "edge_pipeline.harness.worker"]
    assert "OMP_NUM_THREADS=3" in words


def test_the_pins_are_those_of_the_tested_versions():
    text = Path("constraints.txt").read_text().lower().replace("_", "-")
    for name, version in PINS.items():
        assert re.search(rf"^{name}=={re.escape(version)}$", text, re.MULTILINE), name
    assert "torch==2.13.0" in requirements_of("executorch")
    assert requirements_of("onnx") == sorted(requirements_of("onnx"))


def test_a_named_python_offers_the_runtimes_that_it_has(tmp_path):
    link = FaultyLink(tmp_path)
    (runner,) = board_runners("ssh:pi", link, sys.executable, lambda _step: None)
    assert "onnx" in runner.backends
    with pytest.raises(InputError, match="ssh:pi cannot run the Python /none"):
        board_runners("ssh:pi", link, "/none", lambda _step: None)
    bare = tmp_path / "bare"
    bare.write_text("#!/bin/sh\necho numpy psutil\n")
    bare.chmod(0o755)
    with pytest.raises(InputError, match="lacks packaging, pydantic, safetensors"):
        board_runners("ssh:pi", link, str(bare), lambda _step: None)


# The program that runs on the board


@pytest.fixture
def order(tmp_path):
    return {"root": str(tmp_path / "r"), "name": "env-1", "requirements": ["a==1"], "options": []}


def _set_up(monkeypatch, capsys, order, results):
    """Run the set-up with these results of venv and pip; returns its last line."""
    left = list(results)

    def run(words):
        if words[2] == "venv":
            (Path(words[3]) / "bin").mkdir(parents=True)
        return left.pop(0)

    monkeypatch.setattr(board_setup, "_run", run)
    monkeypatch.setattr(sys, "argv", ["-", json.dumps(order)])
    board_setup.main()
    assert left == []
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def test_an_environment_is_made_once(monkeypatch, capsys, order, tmp_path):
    python = str(tmp_path / "r" / "env-1" / "bin" / "python")
    assert _set_up(monkeypatch, capsys, order, [(0, ""), (0, "")]) == {"python": python}
    assert _set_up(monkeypatch, capsys, order, []) == {"python": python}


@pytest.mark.parametrize(
    ("text", "kind", "detail"),
    [
        ("ERROR: Could not find a version\nERROR: No matching distribution found for a==1",
         "wheel", "a==1"),
        ("Temporary failure in name resolution\nERROR: No matching distribution found for a==1",
         "network", ""),
        ("ERROR: [Errno 28] No space left on device", "disk", "No space left on device"),
        ("ERROR: odd", "pip", ""),
    ],
)  # fmt: skip
def test_a_failed_installation_leaves_nothing(
    monkeypatch, capsys, order, tmp_path, text, kind, detail
):
    found = _set_up(monkeypatch, capsys, order, [(0, ""), (1, text)])
    assert found == {"error": kind, "detail": detail}
    assert [path.name for path in (tmp_path / "r").iterdir()] == ["lock"]


def test_no_venv_and_what_an_interrupted_build_left(monkeypatch, capsys, order, tmp_path):
    (tmp_path / "r" / "env-0.new").mkdir(parents=True)
    (tmp_path / "r" / "env-2").mkdir()
    assert _set_up(monkeypatch, capsys, order, [(1, "ensurepip is not available")])["error"] == (
        "venv"
    )
    assert sorted(path.name for path in (tmp_path / "r").iterdir()) == ["env-2", "lock"]


def test_a_folder_that_cannot_be_made_is_told(monkeypatch, capsys, order, tmp_path):
    (tmp_path / "r").write_text("a file")
    assert _set_up(monkeypatch, capsys, order, [])["error"] == "disk"


def test_it_needs_only_the_standard_library():
    tree = ast.parse(Path(board_setup.__file__).read_text(), feature_version=(3, 7))
    names = {
        (node.module if isinstance(node, ast.ImportFrom) else node.names[0].name).split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
    }
    assert names - {"__future__"} <= sys.stdlib_module_names


# The package that is sent


def test_a_bundle_is_reproducible_and_has_the_worker():
    content = bundle_bytes()
    assert bundle_bytes() == content
    assert bundle_name(content) != bundle_name(content + b"x")
    names = zipfile.ZipFile(BytesIO(content)).namelist()
    assert "edge_pipeline/harness/worker.py" in names
    assert not any(name.startswith("edge_pipeline/compiler") for name in names)
    assert len(content) < 1_000_000
