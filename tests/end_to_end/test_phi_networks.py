"""The cost-adjustable segmenters through the command line: compiled at one phi, with its cost."""

import itertools
import json

import numpy as np
import pytest

pytest.importorskip("torch", reason="compiling needs torch")

import torch

from edge_pipeline import Artifact, open_session
from edge_pipeline.cli.main import main
from edge_pipeline.models.base import fresh_model
from edge_pipeline.models.cost import cost_of_name
from tests.selection import fast_or_slow

NEEDS = {"onnx": "onnxscript", "executorch": "executorch", "litert": "litert_torch"}
SMALL = ["encoder=4-6-8", "out_channels=2", "hidden2=8"]
UNET = ["decoder=5-3"]
NETWORKS = {
    "phi_fpn": ["pyramid=5"],
    "phi_psp": UNET,
    "phi_residual_unet": UNET,
    "phi_se_unet": [*UNET, "reduction=2"],
    "phi_unet separate": [*UNET, "separate=true"],
    "phi_unet picture": [*UNET, "rescaled=picture"],
}
CASES = fast_or_slow(
    itertools.product(NEEDS, NETWORKS),
    [
        ("onnx", "phi_psp"),
        ("onnx", "phi_se_unet"),
        ("executorch", "phi_unet separate"),
    ],
    uncovered=["phi_fpn", "phi_residual_unet", "phi_unet picture", "litert"],
)


@pytest.mark.parametrize(("backend", "case"), CASES)
def test_a_compiled_network_agrees_with_the_network(tmp_path, backend, case):
    pytest.importorskip(NEEDS[backend], reason=f"compiling for {backend} needs it")
    name = case.split()[0]
    phi = "0.3-0.5" if "separate" in case else 0.35
    settings = [*SMALL, *NETWORKS[case]]
    words = [word for setting in settings for word in ("-s", setting)]
    folder = tmp_path / "a"
    command = ["compile", name, *words, "--fix", f"phi={phi}", "--input", "19x26"]
    assert main([*command, "--backend", backend, "-o", str(folder)]) == 0

    artifact = Artifact.open(str(folder))
    assert artifact.manifest.fixed == {"phi": phi}
    assert artifact.manifest.filters == "specialised"
    model = fresh_model(name, dict(s.split("=") for s in settings))
    image = np.random.default_rng(0).random((1, 3, 19, 26), np.float32)
    with torch.no_grad():
        expected = model(torch.from_numpy(image), phi).numpy()
    with open_session(artifact, "forward", threads=1) as session:
        (found,) = session.run({"image": image}).values()
    assert expected.std() > 1e-4
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-5 * np.abs(expected).max())


def test_inspect_counts_separate_factors(capsys):
    words = ["-s", "encoder=4-6-8", "-s", "decoder=5-3", "-s", "separate=true", "--json"]
    assert main(["inspect", "phi_unet", *words, "--fix", "phi=0.3-0.5", "--input", "3x33x47"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["fixed"] == {"phi": "0.3-0.5"}
    options = {"encoder": "4-6-8", "decoder": "5-3", "separate": True}
    cost = cost_of_name("phi_unet", options, (3, 33, 47), {"phi": "0.3-0.5"})
    assert found["macs"] == cost.macs
    (middle,) = [one for one in found["layers"] if one["name"] == "network.encoder1.0"]
    assert middle["output_shape"] == [1, 6, 9, 14]


@pytest.mark.parametrize(
    ("phi", "words"),
    [
        ("0.3-0.5-0.7", "phi=0.3-0.5-0.7 has 3 factors; the network has one or 2"),
        ("0.3-1.5", "phi=0.3-1.5 is outside the range 0.0 to 1.0"),
        ("half", "phi=half must be a number from 0.0 to 1.0"),
    ],
)
@pytest.mark.parametrize("verb", [["inspect"], ["compile", "--backend", "onnx", "-o", "unused"]])
def test_factors_that_do_not_fit_are_refused(tmp_path, monkeypatch, capsys, verb, phi, words):
    monkeypatch.chdir(tmp_path)
    settings = ["-s", "encoder=4-6-8", "-s", "decoder=5-3", "-s", "separate=true"]
    assert main([verb[0], "phi_unet", *verb[1:], *settings, "--fix", f"phi={phi}"]) == 2
    assert words in " ".join(capsys.readouterr().err.split())
    assert not list(tmp_path.iterdir())
