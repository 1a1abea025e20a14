"""Small but real ONNX segmenters with a finite halo, made in milliseconds and without torch.

The network is a 3x3 convolution, for `stride` 2 a maximum over 2x2 pixels, another 3x3 convolution
and an enlargement, and a last 3x3 convolution to the scores. Its weights come from a seed.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import onnx
import safetensors.numpy
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edge_pipeline.artifact.constants import locate
from edge_pipeline.artifact.draft import reference_bytes, write_artifact
from edge_pipeline.artifact.manifest import Delegation, Manifest, ProgramSpec, Tile
from edge_pipeline.artifact.provenance import ModelCard, Source
from edge_pipeline.artifact.store import Artifact
from edge_pipeline.artifact.tensors import TensorSpec
from edge_pipeline.artifact.weight_curve import CurveSpec, WeightCurve

__all__ = ["HALO", "KNOTS", "make_segmenter"]

# Pixels at this distance have no effect; by stride.
HALO = {1: 2, 2: 6}
KNOTS = (0.2, 0.4)
LAST, GRAPH, CURVE = "last.weight", "forward.graph.safetensors", "curve.safetensors"
HIDDEN = 4

Size = tuple[int | str, int | str]


def _weights(channels: int, outputs: int, stride: int, nan: bool) -> dict[str, NDArray[np.float32]]:
    rng = np.random.default_rng(3)
    shapes = {"first": (HIDDEN, channels), LAST: (outputs, HIDDEN)}
    if stride == 2:
        shapes["middle"] = (HIDDEN, HIDDEN)
    made = {
        name: rng.standard_normal((*shape, 3, 3)).astype(np.float32)
        for name, shape in shapes.items()
    }
    for value in made.values():
        value -= value.mean()  # else most pixels of a picture have the same label
    if nan:
        made[LAST][0, 0, 0, 0] = np.nan
    return made


def _nodes(stride: int) -> list[onnx.NodeProto]:
    pads = [1, 1, 1, 1]
    nodes = [
        helper.make_node("Conv", ["image", "first"], ["a"], pads=pads),
        helper.make_node("Relu", ["a"], ["b"]),
    ]
    if stride == 2:
        nodes += [
            helper.make_node("MaxPool", ["b"], ["c"], kernel_shape=[2, 2], strides=[2, 2]),
            helper.make_node("Conv", ["c", "middle"], ["d"], pads=pads),
            helper.make_node(
                "Resize",
                ["d", "", "scales"],
                ["e"],
                mode="nearest",
                coordinate_transformation_mode="asymmetric",
                nearest_mode="floor",
            ),
        ]
    last = "e" if stride == 2 else "b"
    return [*nodes, helper.make_node("Conv", [last, LAST], ["logits"], pads=pads)]


def make_segmenter(
    folder: Path,
    *,
    size: Size = (16, 16),
    classes: int = 2,
    channels: int = 3,
    stride: int = 1,
    halo: int | None = 2,
    labels: tuple[str, ...] = (),
    background: bool | None = None,
    outputs: int | None = None,
    phi: float | None = None,
    curve: bool = True,
    nan: bool = False,
    output_space: str = "logits",
) -> Artifact:
    """Write and open a small segmenter.

    Args:
        folder: where to.
        size: height and width of the picture; letters for free ones, such as `"2*h"`.
        classes: number of scores for each pixel.
        channels: channels of the picture.
        stride: 1 or 2.
        halo: what the manifest says; in truth it is at most `HALO[stride]`.
        labels, background, output_space: what the model card says.
        outputs: scores in the manifest, if not `classes`.
        phi: the fixed value, if it is specialised.
        curve: whether there are weights for phi from 0.2 to 0.4, of opposite signs at both ends.
        nan: whether a weight is not a number.
    """
    weights = _weights(channels, classes, stride, nan)
    picture = TensorSpec(name="image", shape=(1, channels, *size), meaning="the picture")
    scores = TensorSpec(name="logits", shape=(1, outputs or classes, *size), meaning="scores")
    held = {**weights, "scales": np.array([1, 1, 2, 2], np.float32)}
    graph = helper.make_graph(
        _nodes(stride),
        "forward",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, picture.shape)],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, (1, classes, *size))],
        [numpy_helper.from_array(value, name) for name, value in held.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    shape = tuple(n if isinstance(n, int) else 16 for n in size)
    sample = np.zeros((1, channels, *shape), np.float32)
    files = {
        "forward.onnx": bytes(model.SerializeToString()),
        "forward.safetensors": reference_bytes(
            {"image": sample},
            {"logits": np.zeros((1, outputs or classes, *shape), np.float32)},
        ),
    }
    spec = ProgramSpec(
        name="forward",
        file="forward.onnx",
        inputs=(picture,),
        outputs=(scores,),
        macs=0,
        flops=0,
        delegation=Delegation(delegate="onnxruntime", delegated={"Conv": 2}, outside={}),
        reference="forward.safetensors",
    )
    if phi is not None and curve:
        files[GRAPH] = safetensors.numpy.save({"weight": weights[LAST]})
        places = locate({spec.file: files[spec.file], GRAPH: files[GRAPH]}, {LAST: weights[LAST]})
        spec = spec.model_copy(update={"constants": places.constants, "graph": GRAPH})
        ends = np.stack([weights[LAST], -weights[LAST]])
        files[CURVE] = WeightCurve(CurveSpec(input="phi", knots=KNOTS), {LAST: ends}).content()
    manifest = Manifest(
        source=Source(model="phi_unet_pets", options={}, seed=0),
        backend="onnx",
        filters="dynamic" if phi is None else "specialised",
        fixed={} if phi is None else {"phi": phi},
        programs=(spec,),
        tile=Tile(stride=stride, halo=halo, scale=1, minimum=stride),
        curve=CURVE if phi is not None and curve else None,
        card=ModelCard(
            name="small",
            description="A small segmenter, for tests.",
            input_space="srgb",
            output_space=output_space,  # type: ignore[arg-type]
            labels=labels,
            background=background,
            training_data=(),
            licence="Apache-2.0",
        ),
        tools={"onnx": onnx.__version__},
        created=datetime(2025, 1, 1, tzinfo=UTC),
    )
    return write_artifact(folder, manifest, files, force=False)
