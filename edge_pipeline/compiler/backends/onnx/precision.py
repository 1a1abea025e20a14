"""Half precision and int8 for ONNX models, for ONNX Runtime's CPU execution provider."""

from __future__ import annotations

import contextlib
import logging
import math
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from edge_pipeline.compiler.precision.kept_float import Step, fingerprint, input_layers
from edge_pipeline.errors import CompileError
from edge_pipeline.optional import require as require_module

__all__ = ["to_half", "to_int8"]

_HALF = np.finfo(np.float16)
# A float32 region ends at these operators: they may compute in half precision again.
_PRODUCTS = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})
# Indices of inputs that are float32 in every precision: region of interest and scales.
_ALWAYS_FLOAT = {"Resize": (1, 2)}


def to_half(model: Any) -> None:
    """Convert weights and arithmetic to float16 in place; inputs and outputs stay float32.

    An operator with a scalar constant outside half precision's normal range (such as 1e-12, which
    prevents a division by zero) stays in float32. So do the operators that follow it, up to the
    next product.

    Args:
        model: ModelProto whose constants are initializers with raw data.

    Raises:
        CompileError: If a weight exceeds half precision's range.
    """
    _Halving(model).run()


class _Halving:
    """Implementation of `to_half`; it casts each tensor at most once."""

    def __init__(self, model: Any) -> None:
        onnx: Any = require_module("onnx", "onnx", "compiling to ONNX")
        self.onnx = onnx
        self.graph = model.graph
        float_type = onnx.TensorProto.FLOAT
        self.constants: dict[str, NDArray[Any]] = {
            tensor.name: onnx.numpy_helper.to_array(tensor)
            for tensor in self.graph.initializer
            if tensor.data_type == float_type
        }
        inferred = onnx.shape_inference.infer_shapes(model).graph
        values = [*inferred.input, *inferred.value_info, *inferred.output]
        self.floats = {v.name for v in values if v.type.tensor_type.elem_type == float_type}
        # Whether each tensor is float16, for the outputs of the nodes converted so far.
        self.half: dict[str, bool] = {value.name: False for value in self.graph.input}
        self.casts: dict[tuple[str, bool], str] = {}
        self.nodes: list[Any] = []

    def run(self) -> None:
        """Rewrite the graph."""
        outputs = [value.name for value in self.graph.output]
        kept = self._kept()
        for i, node in enumerate(self.graph.node):
            self._convert(node, half=i not in kept)
        for name in outputs:
            if self.half.get(name):
                self._cast_output(name)
        del self.graph.node[:]
        self.graph.node.extend(self.nodes)
        del self.graph.value_info[:]  # it has the types from before the conversion
        self._store()

    def _kept(self) -> set[int]:
        """Return the indices of the nodes that stay in float32."""
        kept: set[int] = set()
        tainted: set[str] = set()
        for i, node in enumerate(self.graph.node):
            follows = any(name in tainted for name in node.input)
            if any(self._too_small(name) for name in node.input) or (
                follows and node.op_type not in _PRODUCTS
            ):
                kept.add(i)
                tainted.update(node.output)
        return kept

    def _too_small(self, name: str) -> bool:
        value = self.constants.get(name)
        return (
            value is not None
            and value.size == 1
            and value.item() != 0
            and not _HALF.smallest_normal <= abs(value.item()) <= _HALF.max
        )

    def _convert(self, node: Any, *, half: bool) -> None:
        always = _ALWAYS_FLOAT.get(node.op_type, ())
        for i, name in enumerate(node.input):
            if name in self.constants or name in self.floats:
                node.input[i] = self._as(name, half=half and i not in always)
        if half:
            for attribute in node.attribute:
                self._convert_attribute(attribute)
        self.nodes.append(node)
        self.half.update({name: half for name in node.output if name in self.floats})

    def _convert_attribute(self, attribute: Any) -> None:
        types = self.onnx.TensorProto
        if attribute.name == "to" and attribute.i == types.FLOAT:
            attribute.i = types.FLOAT16
        if attribute.HasField("t") and attribute.t.data_type == types.FLOAT:
            value = self.onnx.numpy_helper.to_array(attribute.t).astype(np.float16)
            attribute.t.CopyFrom(self.onnx.numpy_helper.from_array(value, attribute.t.name))

    def _as(self, name: str, *, half: bool) -> str:
        """Return the name of a tensor in the given precision; add a Cast if needed.

        A weight of one value is cast when the model is loaded: its two float16 bytes would also
        occur elsewhere in the files, so it could not be located and exchanged.
        """
        value = self.constants.get(name)
        if value is not None and not (value.ndim and value.size == 1):
            return f"{name}_half" if half else name
        if self.half.get(name, False) == half:
            return name
        if (name, half) not in self.casts:
            self.casts[name, half] = f"{name}_{'half' if half else 'float'}"
            self.nodes.append(self._cast(name, self.casts[name, half], half=half))
        return self.casts[name, half]

    def _cast(self, source: str, target: str, *, half: bool) -> Any:
        types = self.onnx.TensorProto
        to = types.FLOAT16 if half else types.FLOAT
        return self.onnx.helper.make_node("Cast", [source], [target], name=f"cast_{target}", to=to)

    def _cast_output(self, name: str) -> None:
        """Add a Cast to float32 whose result has the output's original name."""
        inner = f"{name}_as_half"
        for node in self.nodes:
            for names in (node.input, node.output):
                for i, one in enumerate(names):
                    if one == name:
                        names[i] = inner
        self.nodes.append(self._cast(inner, name, half=False))

    def _store(self) -> None:
        """Store the constants in the precisions that the nodes use."""
        used = {name for node in self.graph.node for name in node.input}
        others = [t for t in self.graph.initializer if t.name not in self.constants]
        floats = {t.name: t for t in self.graph.initializer if t.name in self.constants}
        stored = others + [tensor for name, tensor in floats.items() if name in used]
        for name, value in self.constants.items():
            if f"{name}_half" not in used or (name, True) in self.casts:
                continue
            if not np.abs(value).max(initial=0) <= _HALF.max:
                raise CompileError(
                    f"the weight {name} reaches {np.abs(value).max():.3g}, and the largest float16 "
                    "is 65504; compile with --precision fp32"
                )
            stored.append(
                self.onnx.numpy_helper.from_array(value.astype(np.float16), f"{name}_half")
            )
        copies = [self.onnx.TensorProto.FromString(t.SerializeToString()) for t in stored]
        del self.graph.initializer[:]
        self.graph.initializer.extend(copies)


def to_int8(
    model: Any,
    inputs: Sequence[str],
    samples: Sequence[tuple[Tensor, ...]],
    in_float: frozenset[str] = frozenset(),
) -> Any:
    """Return the model with its convolutions and linear layers quantised to int8 in QDQ form.

    Only layers with constant weights are quantised: computed weights would have to be quantised in
    every run. Layers that read the input stay in float32 (`input_layers`). Weights have a scale per
    channel, activations a scale per tensor.

    Args:
        model: ModelProto in float32.
        inputs: Names of the inputs, in the order of a sample's tensors.
        samples: Inputs on which value ranges are observed, at least one set.
        in_float: Fingerprints of the weights of layers that stay in float32.

    Returns:
        A new ModelProto.

    Raises:
        CompileError: If there are no samples.
    """
    if not samples:
        raise CompileError(
            "int8 requires samples to observe value ranges on, and none were given; give a "
            "calibration set"
        )
    quantization: Any = require_module("onnxruntime.quantization", "onnx", "quantising to int8")
    onnx: Any = require_module("onnx", "onnx", "compiling to ONNX")
    feeds = iter(
        {name: part.numpy() for name, part in zip(inputs, sample, strict=True)}
        for sample in samples
    )

    class Reader(quantization.CalibrationDataReader):  # type: ignore[misc]
        def get_next(self) -> dict[str, NDArray[np.float32]] | None:
            return next(feeds, None)

    kept = input_layers(_steps(model), inputs) | _named(model, in_float)
    nodes = [node for node in _with_constant_weights(model) if node.name not in kept]
    with tempfile.TemporaryDirectory(prefix="edge-pipeline-int8-") as folder, _quiet():
        target = Path(folder, "model.onnx")
        quantization.quantize_static(
            model,
            target,
            Reader(),
            quant_format=quantization.QuantFormat.QDQ,
            per_channel=True,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
            op_types_to_quantize=sorted({node.op_type for node in nodes}),
            nodes_to_quantize=[node.name for node in nodes],
        )
        return onnx.load(target)


def _named(model: Any, keys: frozenset[str]) -> frozenset[str]:
    """Return the names of the layers whose weights have these fingerprints."""
    if not keys:
        return frozenset()
    onnx: Any = require_module("onnx", "onnx", "compiling to ONNX")
    held = {tensor.name: tensor for tensor in model.graph.initializer}
    weights = {
        node.name: onnx.numpy_helper.to_array(held[node.input[1]])
        for node in _with_constant_weights(model)
    }
    return frozenset(name for name, weight in weights.items() if fingerprint(weight) in keys)


def _with_constant_weights(model: Any) -> Iterator[Any]:
    constants = {tensor.name for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type in _PRODUCTS - {"ConvTranspose"} and node.input[1] in constants:
            yield node


def _steps(model: Any) -> Iterator[Step]:
    sizes = {tensor.name: math.prod(tensor.dims) for tensor in model.graph.initializer}
    for node in model.graph.node:
        product = node.op_type in _PRODUCTS
        weights = sizes.get(node.input[1], 0) if product else 0
        yield Step(node.name, tuple(node.input), tuple(node.output), product, weights)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence the quantiser, which logs advice on the root logger."""
    previous = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(previous)
