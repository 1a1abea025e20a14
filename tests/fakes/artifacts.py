"""Small but real ONNX artifacts, made in milliseconds and without torch.

The network is nearest-neighbour demosaicing: each packed pixel's R, mean G and B fill its 2 x 2
block. Folded, that is a constant 1x1 convolution and a depth to space. Split, a 3x3 convolution
takes its filters as an input, and the predictor makes them from the picture's mean, so that
different captures get different filters. Refolded, they are a constant that can be exchanged.
Reference outputs come from NumPy, not from ONNX Runtime.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import numpy as np
import onnx
import safetensors.numpy
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edge_pipeline.artifact.constants import locate
from edge_pipeline.artifact.draft import reference_bytes, write_artifact
from edge_pipeline.artifact.manifest import Delegation, Manifest, ProgramName, ProgramSpec, Tile
from edge_pipeline.artifact.provenance import Calibration, CalibrationFile, ModelCard, Source
from edge_pipeline.artifact.store import Artifact
from edge_pipeline.artifact.tensors import TensorSpec

__all__ = [
    "CALIBRATED",
    "FILTER",
    "GRAPH",
    "apply_filters",
    "demosaic_weight",
    "make_artifact",
    "make_files",
    "predict_filters",
    "reference_input",
]

Array = NDArray[np.float32]
Form = Literal["dynamic", "folded", "split", "refolded"]

FILTER = "hyper_conv0.weight"


def demosaic_weight(kernel: int) -> Array:
    """[12, 4, kernel, kernel]: twelve outputs are colour x row x column, as PixelShuffle reads."""
    weight = np.zeros((12, 4, kernel, kernel), np.float32)
    for colour, sources in enumerate(((0,), (1, 2), (3,))):
        for source in sources:
            rows = slice(4 * colour, 4 * colour + 4)
            weight[rows, source, kernel // 2, kernel // 2] = 1 / len(sources)
    return weight


def predict_filters(packed: Array) -> Array:
    """What the predictor gives for packed [1, 4, h, w]: filters [1, 12, 4, 3, 3]."""
    gain = np.float32(1) + np.float32(0.1) * packed.mean(dtype=np.float32)
    return np.asarray(demosaic_weight(3)[None] * gain, np.float32)


# What a refolded artifact holds in its file; no predictor gives it.
CALIBRATED = np.random.default_rng(7).standard_normal((1, 12, 4, 3, 3)).astype(np.float32)
GRAPH = "forward.graph.safetensors"


def graph_file() -> bytes:
    """A graph file that holds the filter of a refolded artifact, and no calls."""
    return safetensors.numpy.save({"weight": CALIBRATED})


def apply_filters(packed: Array, filters: Array) -> Array:
    """A zero-padded convolution [1, 4, h, w] -> [1, 12, h, w], then PixelShuffle(2)."""
    _, _, height, width = packed.shape
    reach = filters.shape[-1] // 2
    padded = np.pad(packed[0], ((0, 0), (reach, reach), (reach, reach)))
    out = np.zeros((12, height, width), np.float32)
    for row in range(filters.shape[-2]):
        for column in range(filters.shape[-1]):
            window = padded[:, row : row + height, column : column + width]
            out += np.einsum("oi,ihw->ohw", filters[0, :, :, row, column], window)
    blocks = out.reshape(3, 2, 2, height, width).transpose(0, 3, 1, 4, 2)
    return np.ascontiguousarray(blocks.reshape(1, 3, 2 * height, 2 * width))


def reference_input(height: int = 32, width: int = 32, *, seed: int = 0) -> Array:
    """Packed Bayer [1, 4, height, width] in [0, 1]."""
    rng = np.random.default_rng(seed)
    return rng.random((1, 4, height, width), dtype=np.float32)


def _tensor(name: str, shape: tuple[int | str, ...]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def _model(
    nodes: list[onnx.NodeProto], spec: ProgramSpec, constants: dict[str, NDArray[np.generic]]
) -> bytes:
    graph = helper.make_graph(
        nodes,
        spec.name,
        [_tensor(t.name, t.shape) for t in spec.inputs],
        [_tensor(t.name, t.shape) for t in spec.outputs],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString())


def _predictor_nodes(constants: dict[str, NDArray[np.generic]]) -> list[onnx.NodeProto]:
    constants |= {
        "tenth": np.array(0.1, np.float32),
        "one": np.array(1, np.float32),
        "base": demosaic_weight(3)[None],
    }
    return [
        helper.make_node("ReduceMean", ["packed"], ["mean"], keepdims=0),
        helper.make_node("Mul", ["mean", "tenth"], ["share"]),
        helper.make_node("Add", ["share", "one"], ["gain"]),
        helper.make_node("Mul", ["base", "gain"], [FILTER]),
    ]


def _path_nodes(constants: dict[str, NDArray[np.generic]]) -> list[onnx.NodeProto]:
    constants["first"] = np.array([0], np.int64)
    return [
        helper.make_node("Squeeze", [FILTER, "first"], ["kernel"]),
        helper.make_node(
            "Conv", ["packed", "kernel"], ["twelve"], kernel_shape=[3, 3], pads=[1, 1, 1, 1]
        ),
        helper.make_node("DepthToSpace", ["twelve"], ["rgb"], blocksize=2, mode="CRD"),
    ]


def _folded_nodes(constants: dict[str, NDArray[np.generic]]) -> list[onnx.NodeProto]:
    constants["kernel"] = demosaic_weight(1)
    return [
        helper.make_node("Conv", ["packed", "kernel"], ["twelve"], kernel_shape=[1, 1]),
        helper.make_node("DepthToSpace", ["twelve"], ["rgb"], blocksize=2, mode="CRD"),
    ]


def _spec(
    name: ProgramName, inputs: tuple[TensorSpec, ...], outputs: tuple[TensorSpec, ...], macs: int
) -> ProgramSpec:
    return ProgramSpec(
        name=name,
        file=f"{name}.onnx",
        inputs=inputs,
        outputs=outputs,
        macs=macs,
        flops=2 * macs,
        delegation=Delegation(delegate="onnxruntime", delegated={"Conv": 1}, outside={}),
        reference=f"{name}.safetensors",
    )


def _programs(
    filters: Form, stride: int, size: tuple[int, int] | None, sample: Array
) -> tuple[tuple[ProgramSpec, bytes, bytes], ...]:
    """Each program with its model and its reference file."""
    height, width = size or (f"{stride}*h", f"{stride}*w")
    large = (2 * size[0], 2 * size[1]) if size else (f"{2 * stride}*h", f"{2 * stride}*w")
    packed = TensorSpec(
        name="packed", shape=(1, 4, height, width), range=(0, 1), meaning="packed Bayer"
    )
    rgb = TensorSpec(name="rgb", shape=(1, 3, *large), range=(0, 1), meaning="camera RGB")
    weight = TensorSpec(
        name=FILTER, shape=(1, 12, 4, 3, 3), layout="NOIHW", meaning="filters of a convolution"
    )
    pixels = sample.shape[-2] * sample.shape[-1]
    made = predict_filters(sample)
    picture = apply_filters(sample, made)
    constants: dict[str, NDArray[np.generic]] = {}
    if filters == "folded":
        spec = _spec("forward", (packed,), (rgb,), 48 * pixels)
        plain = apply_filters(sample, demosaic_weight(1)[None])
        model = _model(_folded_nodes(constants), spec, constants)
        return ((spec, model, reference_bytes({"packed": sample}, {"rgb": plain})),)
    if filters == "dynamic":
        spec = _spec("forward", (packed,), (rgb,), 432 * pixels)
        nodes = _predictor_nodes(constants) + _path_nodes(constants)
        model = _model(nodes, spec, constants)
        return ((spec, model, reference_bytes({"packed": sample}, {"rgb": picture})),)
    first = _spec("predict_filters", (packed,), (weight,), 432)
    second = _spec("apply_filters", (packed, weight), (rgb,), 432 * pixels)
    first_model = _model(_predictor_nodes(constants), first, constants)
    predictor = (first, first_model, reference_bytes({"packed": sample}, {FILTER: made}))
    constants = {}
    if filters == "refolded":
        spec = _spec("forward", (packed,), (rgb,), 432 * pixels)
        model = _model(_path_nodes(constants), spec, constants | {FILTER: CALIBRATED})
        places = locate({spec.file: model, GRAPH: graph_file()}, {FILTER: CALIBRATED})
        spec = spec.model_copy(update={"constants": places.constants, "graph": GRAPH})
        plain = apply_filters(sample, CALIBRATED)
        return predictor, (spec, model, reference_bytes({"packed": sample}, {"rgb": plain}))
    second_model = _model(_path_nodes(constants), second, constants)
    return (
        predictor,
        (
            second,
            second_model,
            reference_bytes({"packed": sample, FILTER: made}, {"rgb": picture}),
        ),
    )


def make_files(
    *,
    filters: Form = "folded",
    stride: int = 16,
    halo: int | None = 16,
    minimum: int = 32,
    size: tuple[int, int] | None = None,
    margin: int = 0,
    output_space: Literal["camera_linear", "srgb"] = "camera_linear",
) -> tuple[Manifest, dict[str, bytes]]:
    """What `make_artifact` writes: the manifest without hashes, and the files."""
    sample = reference_input(*(size or (2 * stride, 2 * stride)))
    programs = _programs(filters, stride, size, sample)
    files = {}
    for spec, model, reference in programs:
        files[spec.file] = model
        files[spec.reference] = reference
        if spec.graph is not None:
            files[spec.graph] = graph_file()
    capture = CalibrationFile(name="fake.dng", sha256="0" * 64)
    manifest = Manifest(
        source=Source(model="hyperconv_unet", options={"head": "shuffle"}, seed=0),
        backend="onnx",
        filters=filters,
        programs=tuple(spec for spec, _, _ in programs),
        tile=Tile(stride=stride, halo=halo, scale=2, minimum=minimum, margin=margin),
        calibration=Calibration(files=(capture,)) if filters in ("folded", "refolded") else None,
        card=ModelCard(
            name="nearest",
            description="Nearest-neighbour demosaicing, for tests.",
            output_space=output_space,
            training_data=(),
            licence="Apache-2.0",
        ),
        tools={"onnx": onnx.__version__},
        created=datetime(2025, 1, 1, tzinfo=UTC),
    )
    return manifest, files


def make_artifact(
    folder: Path,
    *,
    filters: Form = "folded",
    stride: int = 16,
    halo: int | None = 16,
    minimum: int = 32,
    size: tuple[int, int] | None = None,
    margin: int = 0,
    output_space: Literal["camera_linear", "srgb"] = "camera_linear",
    force: bool = False,
) -> Artifact:
    """Write and open a small ONNX artifact.

    Args:
        folder: where to.
        filters: its form.
        stride: packed sizes are multiples of it, where they are free.
        halo: what the manifest says; in truth 0 for folded, 1 for the filters of the others.
        minimum: smallest packed size that the manifest allows.
        size: a fixed packed height and width, or None for free multiples of `stride`.
        margin: what the manifest says; in truth 0.
        output_space: what the model card says.
        force: whether an artifact there is replaced.
    """
    manifest, files = make_files(
        filters=filters,
        stride=stride,
        halo=halo,
        minimum=minimum,
        size=size,
        margin=margin,
        output_space=output_space,
    )
    return write_artifact(folder, manifest, files, force=force)
