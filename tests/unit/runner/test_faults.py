"""Bad requests, files and orders are answered with an error; edge_runner never crashes."""

import json
import shutil

import numpy as np
import onnx
import pytest
import safetensors.numpy
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper

from tests.fakes.artifacts import make_artifact
from tests.unit.runner.conftest import request_of, reseal

HOSTILE = [
    "a b",
    "$(reboot)",
    "`id`",
    "'; rm -rf x;'",
    '"',
    "-o",
    "日本",
    "tab\there",
    "line\nbreak",
]


def test_requests_that_are_not_valid(runner, tiny):
    for line in (b"", b"{", b"[]", b"\xff\xfe", b"{}", b'{"artifact": 3}', b"[" * 100_000):
        assert runner.failure(line, "load")["error"] == "InputError"
    for change in ({"threads": 0}, {"threads": 513}, {"cpus": []}, {"cpus": [10**6]}):
        assert runner.failure(request_of(tiny, **change))["error"] == "InputError"


@pytest.mark.parametrize("size", [(0, 32), (31, 32), (2, 2**40), (2**40, 2**40)])
def test_sizes_that_do_not_fit(runner, tmp_path, size):
    folder = make_artifact(tmp_path / "a").folder
    answers, code = runner(request_of(folder, size=size))
    assert answers[-1]["error"] == "InputError", answers
    assert code == 2


@pytest.mark.parametrize(
    "order",
    [
        "run",
        "run 1",
        "outputs x",
        "outputs",
        "run 0",
        "run -1",
        "run x",
        "run 99999999",
        "jump",
        "",
    ],
)
def test_orders_that_are_unknown_or_too_early(runner, tiny, order):
    assert runner.failure(request_of(tiny), order)["error"] in ("InputError", "RuntimeFailure")


def test_a_folder_that_is_no_artifact(runner, tmp_path):
    for folder in (tmp_path, tmp_path / "none", "/dev/null", "\0"):
        assert runner.failure(request_of(folder))["error"] == "ArtifactError"


def test_an_unknown_program_names_those_that_exist(runner, tiny):
    failure = runner.failure(request_of(tiny, "backward"))
    assert failure["error"] == "ArtifactError"
    assert "it has forward" in failure["message"]


@pytest.mark.parametrize("name", ["forward.onnx", "forward.safetensors", "manifest.json"])
def test_missing_and_damaged_files(runner, own, name):
    content = (own / name).read_bytes()
    damaged = bytearray(content)
    damaged[len(damaged) // 2] ^= 1
    for change in (bytes(damaged), content[:-1], content + b"x", b""):
        (own / name).write_bytes(change)
        failure = runner.failure(request_of(own))
        assert failure["error"] == "ArtifactError"
        assert name in failure["message"]
    (own / name).unlink()
    assert name in runner.failure(request_of(own))["message"]


def test_links_are_refused(runner, own, tmp_path):
    (own / "forward.onnx").rename(tmp_path / "elsewhere")
    (own / "forward.onnx").symlink_to(tmp_path / "elsewhere")
    assert "not a plain file" in runner.failure(request_of(own))["message"]


def test_names_that_leave_the_folder_are_refused(runner, own):
    programs = json.loads((own / "manifest.json").read_bytes())["programs"]
    for name in ("../a/forward.onnx", "/etc/passwd", "", "a/../forward.onnx"):
        programs[0]["file"] = name
        reseal(own, programs=programs, files={name: "0" * 64})
        failure = runner.failure(request_of(own))
        assert failure["error"] == "ArtifactError"
        assert "not a plain path" in failure["message"]


def test_an_empty_reference_is_refused_at_another_size(runner, own):
    programs = json.loads((own / "manifest.json").read_bytes())["programs"]
    programs[0]["inputs"][0]["shape"] = [1, 4, 0, 0]
    empty = {"input.packed": np.zeros((1, 4, 0, 0), np.float32)}
    safetensors.numpy.save_file(
        empty | {"output.rgb": np.zeros((1, 3, 64, 64), np.float32)}, own / "forward.safetensors"
    )
    reseal(own, programs=programs)
    assert runner.failure(request_of(own, size=[32, 32]))["error"] == "InputError"


def test_newer_schemas_and_other_backends_are_refused(runner, own):
    reseal(own, schema_version=2)
    assert "schema version 2" in runner.failure(request_of(own))["message"]
    reseal(own, schema_version=1, backend="litert")
    failure = runner.failure(request_of(own), "load")
    assert failure["error"] == "RuntimeFailure"
    assert "compiled for litert" in failure["message"]


def test_an_operator_that_the_engine_lacks_is_named(runner, own):
    model = onnx.load(own / "forward.onnx")
    model.graph.node.append(
        helper.make_node("Frobnicate", ["packed"], ["unused"], domain="made.up")
    )
    model.graph.node[0].op_type = "Frobnicate"
    (own / "forward.onnx").write_bytes(model.SerializeToString())
    reseal(own)
    failure = runner.failure(request_of(own), "load")
    assert failure["error"] == "RuntimeFailure"
    assert "Frobnicate" in failure["message"]


def test_tensors_that_differ_from_the_manifest(runner, own):
    programs = json.loads((own / "manifest.json").read_bytes())["programs"]
    programs[0]["outputs"][0]["shape"][1] = 4
    reseal(own, programs=programs)
    assert runner.failure(request_of(own))["error"] == "ArtifactError"


@given(seed=st.integers(0, 2**32 - 1))
def test_random_bytes_in_the_program_never_crash_it(runner, seed, tmp_path_factory):
    rng = np.random.default_rng(seed)
    folder = make_artifact(tmp_path_factory.mktemp("a") / "a").folder
    content = bytearray((folder / "forward.onnx").read_bytes())
    for at in rng.integers(0, len(content), 3):
        content[at] = rng.integers(256)
    (folder / "forward.onnx").write_bytes(content)
    reseal(folder)
    answers, code = runner(request_of(folder), "load", "run 1")
    assert code in (0, 1), answers
    assert code == 0 or answers[-1]["error"] == "RuntimeFailure"


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_of_folders_and_outputs(runner, tiny, tmp_path, name):
    folder = tmp_path / name
    shutil.copytree(tiny, folder)
    target = tmp_path / f"out {name}".replace("\n", " ")
    answers, code = runner(request_of(folder), "load", "run 1", f"outputs {target}")
    assert code == 0, answers
    assert target.is_file()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([name, target.name])


def test_outputs_that_cannot_be_written_leave_nothing(runner, tiny, tmp_path):
    (tmp_path / "folder").mkdir()
    for target in (tmp_path / "none" / "o", tmp_path / "folder", "/", "/dev/full/x"):
        failure = runner.failure(request_of(tiny), "load", "run 1", f"outputs {target}")
        assert failure["error"] == "OutputError"
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]
