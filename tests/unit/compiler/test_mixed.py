"""Int8 with layers in float32: the programs that `compile` builds, and that `bisect` checks."""

import pytest

pytest.importorskip("torch", reason="compiling needs torch")

import numpy as np
import torch

from edge_pipeline import Artifact, open_session
from edge_pipeline.cli.main import main
from edge_pipeline.compiler.backends.base import open_backend
from edge_pipeline.compiler.mixed import mixtures
from edge_pipeline.compiler.precision import sensitivity
from edge_pipeline.compiler.precision.like_example import METHOD, NEARER
from edge_pipeline.compiler.preparing import open_network, prepared
from edge_pipeline.compiler.request import CompileRequest
from tests.compiled import PACKAGES
from tests.fakes import own_networks

NETWORK = "tests.fakes.own_networks:uneven"
INPUT = ["--input", "image=1x3x12x12"]


def ready(tmp_path, precision):
    request = CompileRequest(
        NETWORK,
        tmp_path / "a",
        "onnx",
        precision=precision,
        fixed={"phi": 0.5},
        inputs={"image": ((1, 3, 12, 12), "float32")},
    )
    return prepared(open_network(request), request, open_backend("onnx", precision, request.target))


def test_each_mixture_is_more_exact_and_calibrated_nearer_to_the_example(tmp_path):
    whole = ready(tmp_path, "int8")
    found = list(mixtures(whole))
    bounds = [one.options.least_db for one in found]
    assert bounds == sorted(set(bounds))
    assert bounds[0] > 30  # the check's bound
    assert whole.options.least_db is None
    assert whole.observed.method == METHOD
    assert {one.observed.method for one in found} == {NEARER}
    assert all(len(one.samples) < len(whole.samples) for one in found)


def test_other_precisions_have_no_mixtures(tmp_path):
    pytest.importorskip("onnxscript", reason="the extra onnx is not installed")
    assert list(mixtures(ready(tmp_path, "fp32"))) == []


# Two programs are built three times, and each backend's writing of them is its own.
@pytest.mark.parametrize("backend", [pytest.param("executorch", marks=pytest.mark.slow), "litert"])
def test_each_of_several_programs_has_its_layers_in_float(tmp_path, backend):
    pytest.importorskip(PACKAGES[backend], reason=f"the extra {backend} is not installed")
    command = ["compile", NETWORK, *INPUT, "--backend", backend, "--precision", "int8"]
    assert main([*command, "--phi", "0.5,1", "-o", str(tmp_path / "a")]) == 0
    artifact = Artifact.open(tmp_path / "a")
    notes = " ".join(artifact.manifest.notes)
    network = own_networks.uneven()
    for number, phi in enumerate((0.5, 1.0), 1):
        assert f"forward_{number}: 2 of 3 layers" in notes
        inputs, _ = artifact.reference(f"forward_{number}")
        with torch.no_grad():
            expected = network(*map(torch.from_numpy, inputs.values()), phi).numpy()
        with open_session(artifact, f"forward_{number}", threads=1) as session:
            (found,) = session.run(inputs).values()
        error = np.sqrt(np.square(found - expected).mean()) / np.ptp(expected)
        assert 1e-5 < error < 10 ** (-30 / 20)  # the last layer is in int8


def bisected(capsys):
    command = ["bisect", NETWORK, *INPUT, "--phi", "1", "--backend", "onnx", "--precision", "int8"]
    return main(command), capsys.readouterr().out


def test_bisect_accepts_a_network_that_compile_writes_with_layers_in_float(capsys):
    pytest.importorskip("onnxscript", reason="the extra onnx is not installed")
    code, said = bisected(capsys)
    assert (code, "forward: every pass is within tolerance" in said) == (0, True)


def test_bisect_names_the_operator_if_most_weights_would_stay_in_float(capsys, monkeypatch):
    pytest.importorskip("onnxscript", reason="the extra onnx is not installed")
    monkeypatch.setattr(sensitivity, "_MOST", 0.0)
    code, said = bisected(capsys)
    assert code == 1
    assert "in small" in " ".join(said.split())
