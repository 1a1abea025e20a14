"""`calibrate-device` as it is typed."""

import pytest

pytest.importorskip("torch", reason="programs are compiled")
pytest.importorskip("scipy", reason="the fit uses its least squares")

from edge_pipeline.calibrate import fitting, grid
from edge_pipeline.cli.main import main
from edge_pipeline.device_profile import load_profile
from tests.fakes.own_networks import __name__ as networks


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["-o", "x.json"], "the ending .toml, got x.json"),
        (["-o", "x", "--backend", "coreml"], "the backend 'coreml' has no costs"),
        (["-o", "x", "--device", "abacus"], "no device is called 'abacus'"),
        (["-o", "x", "--refit"], "there is no device profile x.toml"),
        (["-o", "x", "--cores", "many"], "many"),
    ],
)
def test_bad_input_is_one_sentence(tmp_path, monkeypatch, capsys, words, message):
    monkeypatch.chdir(tmp_path)
    assert main(["calibrate-device", *words]) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_this_machine_is_calibrated_and_compiled_for(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(grid, "QUICK_LAYERS", ((4, 3, 3, 24), (3, 4, 1, 24)))
    monkeypatch.setattr(fitting, "CACHES", (1 << 20,))
    path = tmp_path / "mine.toml"
    assert main(["calibrate-device", "--quick", "--backend", "onnx", "-o", str(path)]) == 0
    assert "GFLOP/s" in capsys.readouterr().out
    assert load_profile(str(path)).runtimes == ("onnx",)
    words = ["--backend", "onnx", "--input", "image=1x3x32x32", "-o", str(tmp_path / "a")]
    assert main(["compile", f"{networks}:DynamicConvolution", *words, "--target", str(path)]) == 0
