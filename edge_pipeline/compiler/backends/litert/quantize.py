"""Half and eight-bit precision for a `.tflite` file, by ai-edge-quantizer.

Which kind of eight bits is chosen by program. Where weights are constants, ranges of all maps are
observed on samples and the arithmetic is in integers. Where weights are computed at run time it is
only the constant weights that take eight bits, and what meets them is brought to eight bits on the
way: LiteRT's integer matrix product of two computed operands is slow or refuses to load.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import Tensor

from edge_pipeline.compiler.backends.litert.convert import SIGNATURE
from edge_pipeline.compiler.backends.quiet import quiet
from edge_pipeline.compiler.precision.kept_float import Step, input_layers
from edge_pipeline.errors import CompileError

__all__ = ["dynamic_range", "half", "permit_half_arithmetic", "static"]

# What XNNPACK would leave outside in integers (those up to SOFTMAX), what would lose half of the
# output's eight bits twice (LOGISTIC), and what LiteRT gets wrong (BATCH_MATMUL, see the decision
# record).
_IN_FLOAT = (
    "GELU",
    "MAXIMUM",
    "SQRT",
    "AVERAGE_POOL_2D",
    "SOFTMAX",
    "LOGISTIC",
    "BATCH_MATMUL",
    "INPUT",
    "OUTPUT",
)
# As the file's schema calls those of them whose data is their first operand.
_LAYERS = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
# What XNNPACK takes with weights of int8 and maps of float32; a depth-wise convolution it does not.
_WEIGHTED = ("CONV_2D", "CONV_2D_TRANSPOSE", "FULLY_CONNECTED")
# tflite-runtime 2.14 takes the first channel's scale for all of a fully connected layer's.
_PER_TENSOR = ("FULLY_CONNECTED",)
_EVERYWHERE = ".*"
# The key, and the value for half precision with sums in half precision, that XNNPACK's README for
# TensorFlow Lite tells of.
_REDUCED_PRECISION, _HALF_ARITHMETIC = "reduced_precision_support", b"fp16accfp16"


def half(data: bytes) -> bytes:
    """Weights of float16; each is made float32 where it is used, or left so where arithmetic is.

    Args:
        data: a `.tflite` file in float32.
    """
    tools = _Tools()
    quantizer = tools.quantizer(data)
    quantizer.add_weight_only_config(
        _EVERYWHERE, tools.operator("*"), 16, algorithm_key=tools.algorithm("FLOAT_CASTING")
    )
    return _written(quantizer, None)


def static(data: bytes, inputs: Sequence[str], samples: Sequence[tuple[Tensor, ...]]) -> bytes:
    """Weights and maps of int8, with ranges observed on samples; inputs and outputs stay float32.

    Args:
        data: a `.tflite` file in float32.
        inputs: the inputs' names in the samples' order.
        samples: inputs as the program takes them; at least one.

    Raises:
        CompileError: there are no samples.
    """
    if not samples:
        raise CompileError(
            "int8 needs inputs to observe ranges on, and there are none; give a calibration set"
        )
    tools = _Tools()
    quantizer = tools.quantizer(data)
    quantizer.add_static_config(_EVERYWHERE, tools.operator("*"), 8, 8)
    for kind in _PER_TENSOR:
        quantizer.add_static_config(_EVERYWHERE, tools.operator(kind), 8, 8, tools.per_tensor)
    for kind in _IN_FLOAT:
        quantizer.update_quantization_recipe(
            _EVERYWHERE, tools.operator(kind), algorithm_key=tools.algorithm("NO_QUANTIZE")
        )
    for name in input_layers(*_steps(data)):
        for kind in _WEIGHTED:
            quantizer.update_quantization_recipe(
                f"(^|;){re.escape(name)}(;|$)",  # the quantizer's name for an operator
                tools.operator(kind),
                algorithm_key=tools.algorithm("NO_QUANTIZE"),
            )
    values = [
        {name: value.numpy() for name, value in zip(inputs, sample, strict=True)}
        for sample in samples
    ]
    with quiet():
        ranges = _observed(quantizer, values)
    return _written(quantizer, ranges)


def dynamic_range(data: bytes) -> bytes:
    """Constant weights of int8; maps that meet them are quantised as they come, others are float32.

    Args:
        data: a `.tflite` file in float32.
    """
    tools = _Tools()
    quantizer = tools.quantizer(data)
    for kind in _WEIGHTED:
        how = [tools.per_tensor] if kind in _PER_TENSOR else []
        quantizer.add_dynamic_config(_EVERYWHERE, tools.operator(kind), 8, *how)
    return _written(quantizer, None)


def permit_half_arithmetic(data: bytes) -> bytes:
    """Let XNNPACK compute in float16 where a processor has the instructions (ARMv8.2 and later).

    It looks for an entry of this name in the file's metadata; others compute in float32.

    Args:
        data: a `.tflite` file.
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
    """The operators of a file, named after the tensor that each gives, and the file's inputs."""
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


def _observed(quantizer: Any, values: list[dict[str, Any]]) -> dict[str, Any]:
    """Lowest and highest value of each tensor over all samples, by name.

    Given several at a time, the quantizer takes a moving average over them, which cuts off what
    only some samples reach: 21 dB instead of 61 for two linear layers with 32 random inputs.
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
    """ai-edge-quantizer's words, imported when wanted."""

    def __init__(self) -> None:
        from ai_edge_quantizer import algorithm_manager, qtyping, quantizer

        self.quantizer: Any = quantizer.Quantizer
        self.operator: Any = qtyping.TFLOperationName
        self.per_tensor: Any = qtyping.QuantGranularity.TENSORWISE
        self._algorithms: Any = algorithm_manager.AlgorithmName

    def algorithm(self, name: str) -> Any:
        """The one called `name`."""
        return self._algorithms[name]


def _written(quantizer: Any, ranges: Any) -> bytes:
    with quiet():
        result = quantizer.quantize(ranges, enable_progress_bar=False, enable_progress_report=False)
    return bytes(result.quantized_model)
