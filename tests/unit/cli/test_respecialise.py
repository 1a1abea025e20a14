"""`edge-pipeline respecialise`: what it prints, and its exit codes."""

import re

import numpy as np
import pytest
import safetensors.numpy

from edge_pipeline.artifact.constants import locate
from edge_pipeline.artifact.draft import write_artifact
from edge_pipeline.artifact.store import Artifact
from edge_pipeline.cli.main import main
from edge_pipeline.errors import InputError
from edge_pipeline.proof.changes import change_to
from tests.fakes.artifacts import FILTER, demosaic_weight, make_files

GRAPH = "forward.graph.safetensors"


@pytest.fixture
def folder(tmp_path):
    manifest, files = make_files()
    old = demosaic_weight(1)[None]
    files[GRAPH] = safetensors.numpy.save({"weight": old})
    holding = {name: files[name] for name in ("forward.onnx", GRAPH)}
    constants = locate(holding, {FILTER: old}, required=[GRAPH]).constants
    program = manifest.programs[0].model_copy(update={"constants": constants, "graph": GRAPH})
    write_artifact(
        tmp_path / "artifact",
        manifest.model_copy(update={"programs": (program,)}),
        files,
        force=False,
    )
    safetensors.numpy.save_file({FILTER: np.float32(2) * old}, tmp_path / "f.safetensors")
    return tmp_path


def test_the_milliseconds_are_told(folder, capsys, monkeypatch):
    monkeypatch.chdir(folder)
    assert main(["respecialise", "artifact", "-o", "copy", "--filters", "f.safetensors"]) == 0
    assert re.fullmatch(r"replaced 1 weight\nwrote copy in \d+\.\d ms\n", capsys.readouterr().out)
    Artifact.open(folder / "copy")
    words = [
        "respecialise",
        "artifact",
        "-o",
        "copy",
        "--filters",
        "f.safetensors",
        "--reference",
        "none",
    ]
    assert main(words) == 2
    assert main([*words, "--force"]) == 0


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ([], "give either filters or a fixed value"),
        (["--phi", "0.3"], "has no fixed input phi; its fixed inputs: none"),
        (["--fix", "phi"], "'phi' is not a fixed value"),
        (["--fix", "phi=1", "--phi", "0.3"], "phi is fixed twice"),
        (["--filters", "absent"], "cannot read absent"),
    ],
)
def test_refusals(folder, capsys, monkeypatch, words, complaint):
    monkeypatch.chdir(folder)
    assert main(["respecialise", "artifact", "-o", "copy", *words]) == 2
    said = capsys.readouterr().err
    assert complaint in said
    assert said.count("\n") == 1


@pytest.mark.parametrize("output", ["artifact/inside", "artifact/deep/er", "artifact/forward.onnx"])
@pytest.mark.parametrize("force", [[], ["--force"]])
def test_a_copy_inside_the_artifact_is_refused(folder, capsys, monkeypatch, output, force):
    monkeypatch.chdir(folder)
    words = ["respecialise", "artifact", "-o", output, "--filters", "f.safetensors", *force]
    assert main(words) == 2
    said = capsys.readouterr().err
    assert f"{output} lies inside the artifact" in said
    assert said.count("\n") == 1
    Artifact.open(folder / "artifact")


def test_separate_factors_are_refused(folder):
    manifest, files = make_files()
    fixed = manifest.model_copy(update={"fixed": {"phi": "0.3-0.5"}})
    write_artifact(folder / "separate", fixed, files, force=False)
    with pytest.raises(InputError, match=r"phi=0.3-0.5 only, .* compile for phi=0.2-0.4"):
        change_to(Artifact.open(folder / "separate"), {"phi": "0.2-0.4"})
