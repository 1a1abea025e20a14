"""Half precision and int8 for `.tflite` files, with ai-edge-quantizer.

The kind of int8 depends on the program. If all weights are constants, ranges of all maps are
observed on samples, and the arithmetic is in integers. If weights are computed at run time, only
the constant weights are int8, and the maps that they are multiplied with are quantised in each
run: LiteRT's integer matrix product of two computed operands is slow or fails to load.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import Tensor

from edge_pipeline.compiler.backends.litert.convert import SIGNATURE
from edge_pipeline.compiler.precision.kept_float import Step, fingerprint, input_layers
from edge_pipeline.compiler.quiet import quiet
from edge_pipeline.errors import CompileError

__all__ = ["dynamic_range", "half", "permit_half_arithmetic", "static"]

# These stay in float32: operators up to SOFTMAX, which XNNPACK does not run in integers (a RELU
# that follows a layer is part of it, and no operator); LOGISTIC, which loses accuracy;
# BATCH_MATMUL, which LiteRT computes incorrectly (see the decision record); and the program's
# inputs and outputs.
_IN_FLOAT = (
    "GELU",
    "HARD_SWISH",
    "RELU",
    "DIV",
    "MAXIMUM",
    "SQRT",
    "RSQRT",
    "AVERAGE_POOL_2D",
    "SOFTMAX",
    "LOGISTIC",
    "BATCH_MATMUL",
    "INPUT",
    "OUTPUT",
)
# The schema's names of operators with weights whose first operand is the data.
_LAYERS = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
# XNNPACK runs these operators with int8 weights and float32 maps, unlike depth-wise convolutions.
_WEIGHTED = ("CONV_2D", "CONV_2D_TRANSPOSE", "FULLY_CONNECTED")
_DEPTHWISE = "DEPTHWISE_CONV_2D"
# tflite-runtime 2.14 uses the first channel's scale for all channels of a fully connected layer.
_PER_TENSOR = ("FULLY_CONNECTED",)
_EVERYWHERE = ".*"
# The metadata key, and its value for half precision with sums in half precision, as XNNPACK's
# README for TensorFlow Lite defines them.
_REDUCED_PRECISION, _HALF_ARITHMETIC = "reduced_precision_support", b"fp16accfp16"


def half(data: bytes) -> bytes:
    """Return the file with float16 weights, converted to float32 at run time if necessary.

    Args:
        data: Content of a `.tflite` file in float32.
    """
    tools = _Tools()
    quantizer = tools.quantizer(data)
    quantizer.add_weight_only_config(
        _EVERYWHERE, tools.operator("*"), 16, algorithm_key=tools.algorithm("FLOAT_CASTING")
    )
    return _written(quantizer, None)


def static(
    data: bytes,
    inputs: Sequence[str],
    samples: Sequence[tuple[Tensor, ...]],
    in_float: frozenset[str] = frozenset(),
) -> bytes:
    """Return the file with weights and maps in int8; inputs and outputs stay float32.

    Args:
        data: Content of a `.tflite` file in float32.
        inputs: Names of the inputs, in the order of a sample's tensors.
        samples: Inputs on which value ranges are observed, at least one set.
        in_float: Fingerprints of the weights of layers that stay in float32; if there are any, maps
            are int8 only beside layers.

    Raises:
        CompileError: If there are no samples.
    """
    if not samples:
        raise CompileError(
            "int8 requires samples to observe value ranges on, and none were given; give a "
            "calibration set"
        )
    tools = _Tools()
    quantizer = tools.quantizer(data)
    for kind in (*_WEIGHTED, _DEPTHWISE) if in_float else ("*",):
        quantizer.add_static_config(_EVERYWHERE, tools.operator(kind), 8, 8)
    for kind in _PER_TENSOR:
        quantizer.add_static_config(_EVERYWHERE, tools.operator(kind), 8, 8, tools.per_tensor)
    for kind in _IN_FLOAT:
        quantizer.update_quantization_recipe(
            _EVERYWHERE, tools.operator(kind), algorithm_key=tools.algorithm("NO_QUANTIZE")
        )
    tools.leave_out(quantizer, input_layers(*_steps(data)) | _named(data, in_float))
    values = [
        {name: value.numpy() for name, value in zip(inputs, sample, strict=True)}
        for sample in samples
    ]
    with quiet():
        ranges = _observed(quantizer, values)
    return _written(quantizer, ranges)


def dynamic_range(data: bytes, in_float: frozenset[str] = frozenset()) -> bytes:
    """Return the file with constant weights in int8 and dynamic ranges.

    Maps that are multiplied with these weights are quantised in each run; others stay float32.

    Args:
        data: Content of a `.tflite` file in float32.
        in_float: Fingerprints of the weights of layers that stay in float32; if there are any,
            layers that read the input stay in float32, too.
    """
    tools = _Tools()
    quantizer = tools.quantizer(data)
    for kind in _WEIGHTED:
        how = [tools.per_tensor] if kind in _PER_TENSOR else []
        quantizer.add_dynamic_config(_EVERYWHERE, tools.operator(kind), 8, *how)
    if in_float:
        tools.leave_out(quantizer, input_layers(*_steps(data)) | _named(data, in_float))
    return _written(quantizer, None)


def permit_half_arithmetic(data: bytes) -> bytes:
    """Permit XNNPACK to compute in float16 on processors with the instructions (from ARMv8.2 on).

    XNNPACK looks for an entry in the file's metadata; other processors compute in float32.

    Args:
        data: Content of a `.tflite` file.
    """
    from ai_edge_litert import schema_py_generated as schema
    from ai_edge_litert.tools import flatbuffer_utils

    model = flatbuffer_utils.read_model_from_bytearray(bytearray(data))
    buffer, entry = schema.BufferT(), schema.MetadataT()
    buffer.data = list(_HALF_ARITHMETIC)
    entry.name, entry.buffer = _REDUCED_PRECISION, len(model.buffers)
    model.buffers.append(buffer)
    model.metadata = [*(model.metadata or []), entry]
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


def _steps(data: bytes) -> tuple[list[Step], list[str]]:
    """Return a file's operators, each named after its first output, and the file's input names."""
    from ai_edge_litert import schema_py_generated as schema
    from ai_edge_litert.tools import flatbuffer_utils

    model = flatbuffer_utils.read_model_from_bytearray(bytearray(data))
    graph = model.subgraphs[0]
    kinds = {value: name for name, value in vars(schema.BuiltinOperator).items()}
    names = [tensor.name.decode() for tensor in graph.tensors]
    constant = [model.buffers[tensor.buffer].data is not None for tensor in graph.tensors]
    steps: list[Step] = []
    for operator in graph.operators:
        kind = kinds[model.operatorCodes[operator.opcodeIndex].builtinCode]
        taken = [int(i) for i in operator.inputs if i >= 0]
        weights = 0
        if kind in _LAYERS and constant[taken[1]]:
            weights = math.prod(int(n) for n in graph.tensors[taken[1]].shape)
        results = tuple(names[i] for i in operator.outputs)
        operands = tuple(names[i] for i in taken)
        product = kind in _LAYERS or kind == "BATCH_MATMUL"
        steps.append(Step(results[0], operands, results, product, weights))
    return steps, [names[i] for i in graph.inputs]


def _named(data: bytes, keys: frozenset[str]) -> frozenset[str]:
    """Return the first outputs of the layers whose weights have these fingerprints."""
    if not keys:
        return frozenset()
    from ai_edge_litert import schema_py_generated as schema
    from ai_edge_litert.tools import flatbuffer_utils

    model = flatbuffer_utils.read_model_from_bytearray(bytearray(data))
    graph = model.subgraphs[0]
    codes = {getattr(schema.BuiltinOperator, kind) for kind in _LAYERS}
    found: set[str] = set()
    for operator in graph.operators:
        if model.operatorCodes[operator.opcodeIndex].builtinCode not in codes:
            continue
        held = model.buffers[graph.tensors[operator.inputs[1]].buffer].data
        if held is not None and fingerprint(np.frombuffer(bytes(held), np.float32)) in keys:
            found.add(graph.tensors[operator.outputs[0]].name.decode())
    return frozenset(found)


def _observed(quantizer: Any, values: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the lowest and highest value of each tensor over all samples, by tensor name.

    The samples are given one at a time. From several, the quantizer computes a moving average,
    which cuts off values that only some samples reach: 21 dB instead of 61 dB for two linear layers
    with 32 random inputs.
    """
    ranges: dict[str, Any] = {}
    for value in values:
        for name, seen in quantizer.calibrate({SIGNATURE: [value]}, num_threads=1).items():
            known = ranges.setdefault(name, seen)
            if known and seen:
                known["min"] = np.minimum(known["min"], seen["min"])
                known["max"] = np.maximum(known["max"], seen["max"])
    return ranges


class _Tools:
    """Classes and enums of ai-edge-quantizer, imported on construction."""

    def __init__(self) -> None:
        from ai_edge_quantizer import algorithm_manager, qtyping, quantizer

        self.quantizer: Any = quantizer.Quantizer
        self.operator: Any = qtyping.TFLOperationName
        self.per_tensor: Any = qtyping.QuantGranularity.TENSORWISE
        self._algorithms: Any = algorithm_manager.AlgorithmName

    def leave_out(self, quantizer: Any, names: frozenset[str]) -> None:
        """Leave layers in float32, by the names of their first outputs."""
        for name in sorted(names):
            for kind in (*_WEIGHTED, _DEPTHWISE):
                quantizer.update_quantization_recipe(
                    f"(^|;){re.escape(name)}(;|$)",  # the quantizer's name for an operator
                    self.operator(kind),
                    algorithm_key=self.algorithm("NO_QUANTIZE"),
                )

    def algorithm(self, name: str) -> Any:
        """Return the algorithm called `name`."""
        return self._algorithms[name]


def _written(quantizer: Any, ranges: Any) -> bytes:
    with quiet():
        result = quantizer.quantize(ranges, enable_progress_bar=False, enable_progress_report=False)
    return bytes(result.quantized_model)
