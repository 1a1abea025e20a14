"""A network survives being written into its artifact: same values, same bytes, no pickle."""

import pytest

pytest.importorskip("torch", reason="compiling needs torch")

import json
from pathlib import Path

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save
from torch import nn
from torch.export import Dim

from edge_pipeline.artifact.graph import read_graph
from edge_pipeline.artifact.manifest import Delegation, ProgramSpec
from edge_pipeline.artifact.tensors import TensorSpec
from edge_pipeline.compiler.source.graph import graph_bytes
from edge_pipeline.errors import ArtifactError, CompileError, RuntimeFailure
from edge_pipeline.models.base import build_model
from edge_pipeline.runtime.eager import open_session
from tests.programs import exported
from tests.selection import examples

TINY = {"n_fwd": 4, "n_embed": 4, "n_hid": 8}


def spec_of(inputs: dict[str, tuple[int | str, ...]], outputs: dict[str, tuple[int | str, ...]]):
    def tensors(shapes):
        return tuple(
            TensorSpec(name=name, shape=shape, layout="ABCDE"[: len(shape)], meaning="any")
            for name, shape in shapes.items()
        )

    return ProgramSpec(
        name="forward",
        file="model",
        inputs=tensors(inputs),
        outputs=tensors(outputs),
        macs=0,
        flops=0,
        delegation=Delegation(delegate="none", delegated={}, outside={}),
        reference="reference.safetensors",
    )


def written(folder: Path, program) -> Path:
    path = folder / "graph.safetensors"
    path.write_bytes(graph_bytes(program))
    return path


class Random(nn.Module):
    """Convolution, normalisation, resizing, arithmetic on sizes, constants, two outputs."""

    def __init__(self, channels: int, kernel: int, groups: int) -> None:
        super().__init__()
        width = channels * groups
        self.first = nn.Conv2d(2, width, kernel, padding=kernel // 2)
        self.norm = nn.BatchNorm2d(width)
        self.second = nn.Conv2d(width, width, kernel, padding=kernel // 2, groups=groups)

    def forward(self, x):
        y = self.second(torch.relu(self.norm(self.first(x))))
        up = nn.functional.interpolate(y, scale_factor=2.0, mode="bilinear")
        mean = y.flatten(2).sum(-1) / (y.shape[2] * y.shape[3])
        return up, mean.clamp(-1, float("inf"))


@examples(8)
@given(st.integers(1, 3), st.sampled_from([1, 3]), st.integers(1, 3), st.integers(0, 99))
def test_random_networks_give_the_same(tmp_path_factory, channels, kernel, groups, seed):
    torch.manual_seed(seed)
    model = Random(channels, kernel, groups).eval()
    x = torch.randn(1, 2, 6, 9)
    path = written(tmp_path_factory.mktemp("graph"), exported(model, x))
    width = channels * groups
    spec = spec_of({"x": (1, 2, 6, 9)}, {"up": (1, width, 12, 18), "mean": (1, width)})
    with open_session(path, spec, 1) as session:
        found = session.run({"x": x.numpy()})
    with torch.no_grad():
        up, mean = model(x)
    assert np.array_equal(found["up"], up.numpy())
    assert np.array_equal(found["mean"], mean.numpy())


@pytest.fixture(scope="module")
def free(tmp_path_factory):
    """The ISP network, and the path and spec of its file with free sizes."""
    model = build_model("hyperconv_unet", TINY | {"head": "published"})
    h, w = Dim("h", min=2, max=4096), Dim("w", min=2, max=4096)
    shapes = ({2: model.stride * h, 3: model.stride * w},)
    x = torch.randn(1, 4, 2 * model.stride, 3 * model.stride)

    program = torch.export.export(model, (x,), dynamic_shapes=shapes).run_decompositions({})
    path = written(tmp_path_factory.mktemp("free"), program)
    s = model.stride
    spec = spec_of({"x": (1, 4, f"{s}*h", f"{s}*w")}, {"y": (1, 3, f"{2 * s}*h", f"{2 * s}*w")})
    return model, path, spec


def test_free_sizes(free):
    model, path, spec = free
    with open_session(path, spec, 1) as session:
        for rows, columns in ((2, 3), (3, 2), (4, 4)):
            x = torch.randn(1, 4, rows * model.stride, columns * model.stride)
            with torch.no_grad():
                expected = model(x).numpy()
            assert np.array_equal(session.run({"x": x.numpy()})["y"], expected)


def test_two_exports_give_the_same_bytes():
    torch.manual_seed(0)
    model, x = Random(2, 3, 2).eval(), torch.randn(1, 2, 6, 9)
    first, second = (graph_bytes(exported(model, x)) for _ in range(2))
    assert first == second


def test_no_pickle_and_nothing_of_this_machine(free):
    _, path, _ = free
    data = path.read_bytes()
    for word in (b"PK\x03\x04", b"torch._utils", b"stack_trace", str(Path.cwd()).encode()):
        assert word not in data


def test_every_flipped_header_byte_is_refused_or_harmless(free):
    """No damage gets further than an error of this package's own."""
    model, path, spec = free
    good = path.read_bytes()
    x = np.ones((1, 4, 2 * model.stride, 2 * model.stride), np.float32)
    rng = np.random.default_rng(0)
    damaged = path.with_name("damaged.safetensors")
    said: list[str] = []
    for at in [*range(12), *rng.integers(12, 8 + int.from_bytes(good[:8], "little"), 60)]:
        data = bytearray(good)
        data[at] ^= 1 << int(rng.integers(0, 7))
        damaged.write_bytes(data)
        try:
            with open_session(damaged, spec, 1) as session:
                session.run({"x": x})
        except (ArtifactError, RuntimeFailure) as error:
            said.append(str(error))
    assert len(said) > 30
    assert not [text for text in said if "\n" in text]


def graph_of(path: Path):
    graph, weights = read_graph(path)
    return graph.model_dump(mode="json"), weights


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        (
            {"target": "aten.from_file.default"},
            ArtifactError,
            "which is not an operator of a network",
        ),
        ({"target": "aten.save.default"}, ArtifactError, "which is not an operator of a network"),
        ({"target": "os.system"}, ArtifactError, "which is not an operator of a network"),
        (
            {"target": "aten.__init__.__globals__"},
            ArtifactError,
            "which is not an operator of a network",
        ),
        ({"target": "aten.no_such_operator.default"}, RuntimeFailure, "has no operator"),
        ({"args": [{"node": "nobody"}]}, ArtifactError, "which is not defined before it"),
        ({"args": [{"dtype": "nn"}]}, ArtifactError, "contains an invalid argument"),
        ({"args": []}, RuntimeFailure, "torch could not run"),
    ],
)
def test_what_is_no_network_is_refused(free, change, kind, message):
    model, path, spec = free
    graph, weights = graph_of(path)
    graph["calls"][0] |= change
    other = path.with_name("other.safetensors")
    other.write_bytes(save(weights, {"edge_pipeline.graph": json.dumps(graph)}))
    x = np.ones((1, 4, 2 * model.stride, 2 * model.stride), np.float32)
    with pytest.raises(kind, match=message), open_session(other, spec, 1) as session:
        session.run({"x": x})


def test_missing_weights_are_refused(free):
    _, path, spec = free
    graph, weights = graph_of(path)
    weights.popitem()
    other = path.with_name("fewer.safetensors")
    other.write_bytes(save(weights, {"edge_pipeline.graph": json.dumps(graph)}))
    with pytest.raises(ArtifactError, match="weights"):
        open_session(other, spec, 1)


def test_a_file_of_another_kind(tmp_path, free):
    _, _, spec = free
    (tmp_path / "a").write_bytes(save({"x": np.zeros(3, np.float32)}))
    with pytest.raises(ArtifactError, match="does not contain a graph"):
        open_session(tmp_path / "a", spec, 1)
    with pytest.raises(ArtifactError, match="not a readable graph file"):
        open_session(tmp_path / "none", spec, 1)


def test_threads_are_put_back(free):
    model, path, spec = free
    before = torch.get_num_threads()
    x = np.ones((1, 4, 2 * model.stride, 2 * model.stride), np.float32)
    session = open_session(path, spec, before + 1)
    first = session.run({"x": x})["y"]
    assert torch.get_num_threads() == before
    again = session.run({"x": x})["y"]
    assert first is not again
    session.close()
    with pytest.raises(RuntimeFailure, match="closed"):
        session.run({"x": x})


def test_operators_of_others_are_named_with_their_layer(monkeypatch):
    program = exported(lambda x: x + 1, torch.ones(2))
    node = next(n for n in program.graph.nodes if n.op == "call_function")
    node.target = print
    with pytest.raises(CompileError, match="<built-in function print> is not an ATen"):
        graph_bytes(program)
