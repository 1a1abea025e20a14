import builtins
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from edge_pipeline.artifact.store import Artifact
from edge_pipeline.cli.compile import command
from edge_pipeline.compiler import pipeline
from edge_pipeline.errors import InputError, MissingExtraError, UnknownNameError
from edge_pipeline.registry import BACKENDS

app = typer.Typer()
app.command()(command)
TINY = ["-s", "width=6", "--input", "32x48"]


@pytest.fixture(autouse=True)
def _fake_backend(monkeypatch, small_isp):
    monkeypatch.setitem(BACKENDS._modules, "fake", "tests.fakes.backend")
    monkeypatch.setitem(pipeline.PIPELINES, "fake", ())


def run(*words):
    return CliRunner().invoke(app, list(map(str, words)), env={"COLUMNS": "100"})


def test_it_writes_an_artifact_and_a_table(tmp_path):
    folder = tmp_path / "a"
    words = ["small_isp", *TINY, "--backend", "fake", "--filters", "split", "-o", folder]
    result = run(*words)
    assert result.exit_code == 0, result.output
    assert "predict_filters" in result.stdout
    assert "apply_filters" in result.stdout
    assert f"wrote {folder}" in result.stdout
    manifest = Artifact.open(folder).manifest
    assert (manifest.filters, manifest.source.options["width"]) == ("split", 6)
    assert manifest.programs[0].inputs[0].shape == (1, 4, 32, 48)


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        (["--backend", "tpu"], UnknownNameError),
        (["--backend", "fake", "-s", "n_fwd"], InputError),
        (["--backend", "fake", "--input", "32"], InputError),
        (["--backend", "fake", "--input", "33x32"], InputError),
    ],
)
def test_bad_words_are_input_errors(tmp_path, words, kind):
    result = run("hyperconv_unet", "-o", tmp_path / "a", *words)
    assert isinstance(result.exception, kind)
    assert not list(tmp_path.iterdir())


def test_a_phi_of_zero_is_an_input_error(tmp_path):
    words = ["phi_unet_pets", "-s", "encoder=4-6", "-s", "decoder=4", "--backend", "onnx"]
    result = run(*words, "--phi", "0", "-o", tmp_path / "a")
    assert isinstance(result.exception, InputError)
    assert "phi=0.0 is outside the range 0.0 to 0.6" in str(result.exception)
    assert "phi must be above 0" in str(result.exception)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "captures",
    [["--calibration", "a.dng", "b.dng"], ["--calibration", "a.dng", "--calibration", "b.dng"]],
)
def test_calibration_takes_several_captures(tmp_path, monkeypatch, captures):
    import edge_pipeline.compiler.compile as compiling

    def compile_model(request, *, on_step):
        raise InputError(f"asked for {request.calibration}")

    monkeypatch.setattr(compiling, "compile_model", compile_model)
    words = ["--backend", "fake", "--filters", "folded", "-o", tmp_path / "a"]
    result = run("hyperconv_unet", *words, *captures)
    assert str(result.exception) == f"asked for {(Path('a.dng'), Path('b.dng'))}"


def test_a_stray_word_is_refused(tmp_path):
    result = run("hyperconv_unet", "b.dng", "--backend", "fake", "-o", tmp_path / "a")
    assert isinstance(result.exception, InputError)
    assert str(result.exception).startswith("unexpected argument b.dng; give captures after")


def test_a_form_that_is_not_known_is_refused_by_the_parser(tmp_path):
    words = ["hyperconv_unet", "--backend", "fake", "--filters", "baked", "-o", tmp_path / "a"]
    assert run(*words).exit_code == 2


def test_without_torch_the_extra_is_named(tmp_path, monkeypatch):
    real = builtins.__import__
    import edge_pipeline.optional as optional

    def missing(name):
        if name == "torch":
            raise ModuleNotFoundError("No module named 'torch'", name="torch")
        return real(name)

    monkeypatch.setattr(optional.importlib, "import_module", missing)
    result = run("hyperconv_unet", "--backend", "onnx", "-o", tmp_path / "a")
    assert isinstance(result.exception, MissingExtraError)
    assert "edge-pipeline[onnx]" in str(result.exception)
