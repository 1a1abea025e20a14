"""Random inputs next to eager, chains of split artifacts, and pairs of artifacts."""

from pathlib import Path

import pytest

pytest.importorskip("torch", reason="eager needs torch")

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch.export import Dim

from edge_pipeline.artifact.draft import write_artifact
from edge_pipeline.artifact.manifest import ProgramSpec
from edge_pipeline.artifact.store import Artifact
from edge_pipeline.compiler.source.graph import graph_bytes
from edge_pipeline.errors import VerificationError
from edge_pipeline.proof.agree import compare_artifacts
from edge_pipeline.proof.verify import Trials, verify_artifact
from tests.fakes.artifacts import demosaic_weight, make_files


class Predictor(torch.nn.Module):
    def forward(self, packed):
        gain = 1 + 0.1 * packed.mean()
        return (torch.from_numpy(demosaic_weight(3)[None]) * gain,)


class Apply(torch.nn.Module):
    def forward(self, packed, weight):
        twelve = torch.nn.functional.conv2d(packed, weight[0], padding=1)
        return (torch.nn.functional.pixel_shuffle(twelve, 2),)


class Folded(torch.nn.Module):
    def forward(self, packed):
        twelve = torch.nn.functional.conv2d(packed, torch.from_numpy(demosaic_weight(1)))
        return (torch.nn.functional.pixel_shuffle(twelve, 2),)


class Forward(torch.nn.Module):
    def forward(self, packed):
        return Apply()(packed, *Predictor()(packed))


MODULES = {
    "predict_filters": Predictor,
    "apply_filters": Apply,
    "forward folded": Folded,
    "forward dynamic": Forward,
}


def graph_of(spec: ProgramSpec, filters: str, stride: int) -> bytes:
    name = spec.name if filters == "split" else f"forward {filters}"
    inputs = [torch.rand(1, 4, 2 * stride, 3 * stride), torch.rand(1, 12, 4, 3, 3)]
    free = {2: stride * Dim("h", max=64), 3: stride * Dim("w", max=64)}
    count = len(spec.inputs)
    program = torch.export.export(
        MODULES[name](), tuple(inputs[:count]), dynamic_shapes=(free, None)[:count]
    )
    return graph_bytes(program.run_decompositions({}))


def artifact_with_graph(folder: Path, filters: str, change=None, **kwargs) -> Artifact:
    """A fake artifact that carries its network; `change` edits the files before they are sealed."""
    manifest, files = make_files(filters=filters, **kwargs)
    programs = []
    for spec in manifest.programs:
        name = f"{spec.name}.graph.safetensors"
        files[name] = graph_of(spec, filters, manifest.tile.stride)
        programs.append(spec.model_copy(update={"graph": name}))
    manifest = manifest.model_copy(update={"programs": tuple(programs)})
    if change is not None:
        change(files)
    return write_artifact(folder, manifest, files, force=False)


@pytest.mark.parametrize("filters", ["dynamic", "folded", "split"])
def test_right(tmp_path, filters):
    artifact = artifact_with_graph(tmp_path / "a", filters)
    report = verify_artifact(artifact, trials=Trials(random=3, seed=5))
    assert report.passed
    assert report.verdict == "verified"
    inputs = [(program.program, program.input) for program in report.programs]
    chain = "predict_filters + apply_filters"
    for name in [spec.name for spec in artifact.manifest.programs]:
        assert {(name, "reference"), (name, "reference, eager"), (name, "random 2")} <= set(inputs)
    assert ((chain, "random 0") in inputs) == (filters == "split")
    shapes = {program.shapes["packed"] for program in report.programs}
    assert len(shapes) > 1
    assert all(side % 16 == 0 and side >= 32 for shape in shapes for side in shape[2:])


def test_seed_decides(tmp_path):
    artifact = artifact_with_graph(tmp_path / "a", "dynamic")
    one, same, other = (
        verify_artifact(artifact, trials=Trials(random=2, seed=seed)) for seed in (1, 1, 2)
    )
    assert one == same
    assert one.programs[2:] != other.programs[2:]


def fault_beyond_the_reference(files):
    """Bright values are clipped, which the reference input, whose values are small, hides."""
    model = onnx.load_from_string(files["forward.onnx"])
    (node,) = [n for n in model.graph.node if n.op_type == "DepthToSpace"]
    node.output[0] = "wide"
    model.graph.node.append(onnx.helper.make_node("Clip", ["wide", "", "top"], ["rgb"]))
    top = numpy_helper.from_array(np.array(0.999, np.float32), "top")
    model.graph.initializer.append(top)
    files["forward.onnx"] = model.SerializeToString()


def test_fault_that_the_reference_hides_is_caught(tmp_path, monkeypatch):
    from tests.fakes import artifacts as fakes

    dark = fakes.reference_input
    monkeypatch.setattr(fakes, "reference_input", lambda *a, **k: dark(*a, **k) * np.float32(0.5))
    artifact = artifact_with_graph(tmp_path / "a", "folded", fault_beyond_the_reference)
    report = verify_artifact(artifact, trials=Trials(random=4))
    failed = {program.input for program in report.programs if not program.passed}
    assert "reference" not in failed
    assert failed
    assert report.verdict == "failed"


def test_graph_of_another_network_is_caught(tmp_path):
    def other(files):
        good = artifact_with_graph(tmp_path / "other", "dynamic")
        files["forward.graph.safetensors"] = good.path("forward.graph.safetensors").read_bytes()

    report = verify_artifact(artifact_with_graph(tmp_path / "a", "folded", other))
    failed = {program.input for program in report.programs if not program.passed}
    assert "reference, eager" in failed
    assert "reference" not in failed


def fault_of_the_predictor(files):
    """Its filters are off by 8e-5: within tolerance by itself; another one of it is not."""
    model = onnx.load_from_string(files["predict_filters.onnx"])
    (one,) = [i for i in model.graph.initializer if i.name == "one"]
    one.CopyFrom(numpy_helper.from_array(np.array(1.00009, np.float32), "one"))
    files["predict_filters.onnx"] = model.SerializeToString()


def test_chain_carries_the_predictors_error(tmp_path):
    report = verify_artifact(artifact_with_graph(tmp_path / "a", "split", fault_of_the_predictor))
    errors = {
        program.program: program.outputs[0].difference.max_rel
        for program in report.programs
        if program.input == "random 0"
    }
    assert errors["apply_filters"] < 1e-6
    assert errors["predict_filters + apply_filters"] > 5e-5


class TestPairs:
    def test_same_network(self, tmp_path):
        one = artifact_with_graph(tmp_path / "a", "split")
        fixed = artifact_with_graph(tmp_path / "b", "split", size=(48, 64))
        (pair,) = compare_artifacts([one, fixed], trials=Trials(random=2))
        assert pair.passed
        assert pair.note is None
        assert [program.input for program in pair.programs[:3]] == [
            "reference",
            "random 0",
            "random 1",
        ]
        assert {p.shapes["packed"] for p in pair.programs} == {(1, 4, 48, 64)}

    def test_one_is_wrong(self, tmp_path):
        one = artifact_with_graph(tmp_path / "a", "folded")

        def wrong(files):
            model = onnx.load_from_string(files["forward.onnx"])
            kernel = numpy_helper.to_array(model.graph.initializer[0]) * np.float32(1.001)
            model.graph.initializer[0].CopyFrom(numpy_helper.from_array(kernel, "kernel"))
            files["forward.onnx"] = model.SerializeToString()

        other = artifact_with_graph(tmp_path / "b", "folded", wrong)
        (pair,) = compare_artifacts([one, other])
        assert not pair.passed

    def test_other_sources_and_sizes_are_said_and_not_compared(self, tmp_path):
        one = artifact_with_graph(tmp_path / "a", "folded", size=(32, 32))
        form = artifact_with_graph(tmp_path / "b", "dynamic")
        size = artifact_with_graph(tmp_path / "c", "folded", size=(32, 48))
        pairs = compare_artifacts([one, form, size])
        assert all(pair.passed and not pair.programs for pair in pairs)
        notes = [pair.note or "" for pair in pairs]
        assert "the deployment forms differ" in notes[0]
        assert "are 1x4x32x32 and 1x4x32x48" in notes[1]

    def test_nan_is_an_error(self, tmp_path):
        one = artifact_with_graph(tmp_path / "a", "folded")

        def nan(files):
            model = onnx.load_from_string(files["forward.onnx"])
            kernel = numpy_helper.to_array(model.graph.initializer[0]) * np.float32("nan")
            model.graph.initializer[0].CopyFrom(numpy_helper.from_array(kernel, "kernel"))
            files["forward.onnx"] = model.SerializeToString()

        with pytest.raises(VerificationError, match="not finite"):
            compare_artifacts([one, artifact_with_graph(tmp_path / "b", "folded", nan)])
