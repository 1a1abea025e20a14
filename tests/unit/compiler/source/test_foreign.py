from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

import edge_pipeline
from edge_pipeline.artifact.store import Artifact
from edge_pipeline.cli.main import main
from edge_pipeline.cli.options import parse_fixed, parse_inputs
from edge_pipeline.compiler.compile import CompileRequest, compile_model
from edge_pipeline.compiler.source.findings import findings_of
from edge_pipeline.compiler.source.foreign import (
    foreign_network,
    open_factory,
)
from edge_pipeline.compiler.source.forms import form_of
from edge_pipeline.compiler.source.naming import InputShape, is_factory
from edge_pipeline.errors import CheckpointError, InputError, OutputError
from edge_pipeline.proof.verify import verify_artifact
from edge_pipeline.runtime.base import open_session
from tests.fakes import own_networks as own

HERE = "tests.fakes.own_networks"
PICTURE = (1, 3, 32, 48)


def picture(seed=0, shape=PICTURE):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def run(artifact, **inputs):
    program = artifact.manifest.programs[-1]
    with open_session(artifact, program.name, threads=1) as session:
        found = session.run({name: value.numpy() for name, value in inputs.items()})
    return [torch.from_numpy(found[tensor.name]) for tensor in program.outputs]


@pytest.mark.parametrize("backend", ["onnx", "executorch", "litert"])
def test_a_network_with_two_inputs_of_different_rank_computes_the_same(tmp_path, backend):
    torch.manual_seed(0)
    network = own.Film().eval()
    example = {"image": picture(), "style": torch.rand(1, 4)}
    artifact = edge_pipeline.compile(network, example, tmp_path / "film", backend=backend)
    other = {"image": picture(1), "style": torch.rand(1, 4)}
    with torch.no_grad():
        expected = network(**other)
    (found,) = run(artifact, **other)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)
    assert verify_artifact(artifact).verdict == "verified"


@pytest.mark.parametrize(
    "backend",
    ["onnx", *(pytest.param(b, marks=pytest.mark.slow) for b in ("executorch", "litert"))],
)
def test_vectors_in_and_out(tmp_path, backend):
    network = own.classifier().eval()
    artifact = edge_pipeline.compile(network, [torch.rand(1, 10)], tmp_path / "a", backend=backend)
    x = torch.rand(1, 10)
    (found,) = run(artifact, input=x)
    torch.testing.assert_close(found, network(x).detach(), atol=1e-5, rtol=1e-4)


def test_several_outputs_keep_their_order(tmp_path):
    network = own.Pyramid().eval()
    artifact = edge_pipeline.compile(network, [picture()], tmp_path / "a", backend="onnx")
    found = run(artifact, image=picture(2))
    with torch.no_grad():
        expected = network(picture(2))
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("filters", ["dynamic", "split", "folded"])
def test_forms_follow_from_the_graph(tmp_path, filters):
    torch.manual_seed(0)
    network = own.DynamicConvolution().eval()
    artifact = edge_pipeline.compile(
        network, [picture()], tmp_path / "a", backend="onnx", filters=filters
    )
    with torch.no_grad():
        expected = network(picture())
    if filters == "split":
        predictor, _ = artifact.manifest.programs
        assert [tensor.shape for tensor in predictor.outputs] == [(8, 3, 3, 3)]
        with open_session(artifact, "predict_filters", threads=1) as session:
            computed = session.run({"image": picture().numpy()})
        (found,) = run(
            artifact,
            image=picture(),
            **{name: torch.from_numpy(value) for name, value in computed.items()},
        )
    else:
        (found,) = run(artifact, image=picture())
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


def test_a_fixed_value_is_no_input_and_specialises(tmp_path):
    network = own.Rescaled().eval()
    artifact = edge_pipeline.compile(
        network, [picture()], tmp_path / "a", backend="onnx", fixed={"phi": 0.5}
    )
    assert [tensor.name for tensor in artifact.manifest.programs[0].inputs] == ["image"]
    (found,) = run(artifact, image=picture(3))
    with torch.no_grad():
        torch.testing.assert_close(found, network(picture(3), 0.5), atol=1e-5, rtol=1e-4)


def test_a_predictor_and_a_path_of_different_inputs_get_their_own(tmp_path):
    """In the order of forward the style comes first; the path does not take it."""
    network = foreign_network(own.Styled(), [torch.rand(1, 4), picture()])
    form = form_of(network, "split", ())
    style, image = torch.rand(1, 4), picture(4)
    predictor, path = form.entries
    (seen,) = form.inputs_of(predictor, (style, image))
    assert torch.equal(seen, style)
    assert torch.equal(form.inputs_of(path, (style, image))[0], image)
    with torch.no_grad():
        expected = network.module(style, image).numpy()
    np.testing.assert_allclose(form.run((style, image)), expected, atol=1e-5)


def test_folding_with_a_fixed_value_measures_its_loss(tmp_path):
    network = own.ScaledDynamic().eval()
    artifact = edge_pipeline.compile(
        network,
        [picture()],
        tmp_path / "a",
        backend="onnx",
        filters="folded",
        fixed={"gain": 0.5},
    )
    (loss,) = artifact.manifest.losses
    assert loss.cause == "folding"


def test_an_output_that_holds_the_weights_is_refused(tmp_path):
    (tmp_path / "a").mkdir()
    safetensors.torch.save_file(own.classifier().state_dict(), tmp_path / "a" / "w.safetensors")
    request = CompileRequest(
        source=f"{HERE}:classifier",
        output=tmp_path / "a",
        backend="onnx",
        inputs={"input": InputShape((1, 10))},
        weights=tmp_path / "a" / "w.safetensors",
        force=True,
    )
    with pytest.raises(OutputError, match="lies inside"):
        compile_model(request)


def test_a_factory_is_no_path(tmp_path, monkeypatch):
    """The current folder holds no file of the factory's name; writing beside it is fine."""
    monkeypatch.chdir(tmp_path)
    request = CompileRequest(
        source=f"{HERE}:classifier",
        output=tmp_path,
        backend="onnx",
        inputs={"input": InputShape((1, 10))},
    )
    with pytest.raises(OutputError, match="exists; give --force"):
        compile_model(request)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"options": {"width": 3}}, "has no option width"),
        ({"source": "hyperconv_isp", "inputs": {}, "fixed": {"phi": 0.5}}, "no parameter 'phi'"),
        (
            {"source": "hyperconv_isp", "weights": Path("w.pt")},
            "only be given with package.module:factory",
        ),
    ],
)
def test_what_a_source_does_not_take_is_refused(tmp_path, changes, message):
    request = {"source": f"{HERE}:classifier", "inputs": {"input": (1, 10)}} | changes
    with pytest.raises(InputError, match=message):
        compile_model(CompileRequest(output=tmp_path / "a", backend="onnx", **request))


def test_findings_name_weights_macs_and_forms():
    found = findings_of(foreign_network(own.DynamicConvolution(), [picture()]))
    (weight,) = found.weights
    assert (weight.operand, weight.kind) == ("weight", "capture")
    assert found.path_macs == 32 * 48 * (8 * 3 * 9 + 8 * 5)
    assert found.predictor_macs == 3 * 4 + 4 * 8 * 3 * 9
    assert found.macs == found.path_macs + found.predictor_macs
    assert found.forms == ("refolded", "split", "folded", "dynamic")
    assert findings_of(foreign_network(own.classifier(), [torch.rand(1, 10)])).weights == ()


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
def test_weights_are_loaded(tmp_path, suffix):
    state = {name: torch.full_like(v, 0.25) for name, v in own.Film().state_dict().items()}
    path = tmp_path / f"film{suffix}"
    if suffix == ".pt":
        torch.save({"state_dict": state, "epoch": 3}, path)
    else:
        safetensors.torch.save_file(state, path)
    network = open_factory(
        f"{HERE}:Film", {"image": InputShape(PICTURE), "style": InputShape((1, 4))}, weights=path
    )
    assert all(torch.equal(v, state[k]) for k, v in network.module.state_dict().items())
    assert network.source.checkpoint_sha256 is not None


class Malicious:
    def __reduce__(self):
        return (print, ("unpickled",))


def test_code_in_weights_is_not_run(tmp_path, capsys):
    torch.save({"w": Malicious()}, tmp_path / "evil.pt")
    with pytest.raises(CheckpointError, match="without running code"):
        open_factory(f"{HERE}:Film", {"image": InputShape(PICTURE)}, weights=tmp_path / "evil.pt")
    assert "unpickled" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("source", "inputs", "message"),
    [
        ("nowhere.at_all:f", {}, "nowhere.at_all cannot be imported"),
        (f"{HERE}:Nothing", {}, "has no 'Nothing'"),
        (f"{HERE}:broken", {}, "ValueError: no such file: backbone.yaml"),
        (f"{HERE}:number", {}, "returned int; return a torch.nn.Module"),
        (f"{HERE}:Film", {"image": InputShape(PICTURE)}, "Film.forward requires style"),
        (
            f"{HERE}:Film",
            {"img": InputShape(PICTURE)},
            "has no input 'img'; its inputs are image, style",
        ),
    ],
)
def test_a_wrong_factory_or_input_is_one_sentence(source, inputs, message):
    with pytest.raises(InputError, match=message):
        open_factory(source, inputs)


def test_other_types_than_float32_are_refused():
    with pytest.raises(InputError, match=r"the input input is float64; .* give float32"):
        foreign_network(own.classifier(), [torch.rand(1, 10, dtype=torch.float64)])


def test_options_are_read():
    assert parse_inputs(["image=1x3x8x9", "tokens=1x4:int64"]) == {
        "image": InputShape((1, 3, 8, 9), "float32"),
        "tokens": InputShape((1, 4), "int64"),
    }
    with pytest.raises(InputError, match="has the type 'float'; expected one of float32, int64"):
        parse_inputs(["image=1x3x8x9:float"])
    assert parse_fixed(["phi=0.35", "train=False", "mode=fast"]) == {
        "phi": 0.35,
        "train": False,
        "mode": "fast",
    }
    for text in ("image", "image=1x0x3", "=1x3", "image=axb"):
        with pytest.raises(InputError, match="is not an input"):
            parse_inputs([text])
    with pytest.raises(InputError, match="given twice"):
        parse_inputs(["a=1", "a=2"])
    assert is_factory("pkg.mod:build")
    assert not is_factory("hyperconv_unet")
    assert not is_factory("C:/weights.safetensors")


def test_the_command_line_compiles_and_inspects(tmp_path, capsys):
    words = ["--input", "image=1x3x32x48", "--backend", "onnx", "-o", str(tmp_path / "a")]
    assert main(["compile", f"{HERE}:DynamicConvolution", *words]) == 0
    assert Artifact.open(tmp_path / "a").manifest.source.model == f"{HERE}:DynamicConvolution"
    assert main(["inspect", f"{HERE}:DynamicConvolution", "--input", "image=1x3x32x48"]) == 0
    assert "forms: refolded, split, folded, dynamic" in capsys.readouterr().out
    assert main(["compile", f"{HERE}:broken", *words]) == 2


class _Reciprocal(torch.nn.Module):
    def forward(self, x):
        return 0.25 / (x + 0.01)


def test_core_ml_computes_exact_reciprocals(tmp_path):
    """Its own operator adds 1e-4 to the operand."""
    pytest.importorskip("coremltools", reason="the extra coreml is not installed")
    small = torch.full((1, 3, 4, 4), 0.005)
    artifact = edge_pipeline.compile(_Reciprocal(), [small], tmp_path / "a", backend="coreml")
    (found,) = run(artifact, x=small)
    torch.testing.assert_close(found, _Reciprocal()(small), rtol=1e-5, atol=0)
