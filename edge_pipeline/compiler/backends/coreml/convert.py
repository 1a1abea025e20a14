"""Silent conversion of a program by coremltools in a given precision."""

from __future__ import annotations

import contextlib
import importlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from torch.export import ExportedProgram

from edge_pipeline.artifact.schema import Precision
from edge_pipeline.compiler.quiet import muted

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Ranges", "Request", "convert", "quantise_weights", "quiet"]

# The lowest and highest observed value of tensors, by their names in the ML Program.
Ranges = Mapping[str, tuple[float, float]]

# A constant up to half of the smallest half-precision number is rounded to zero.
_VANISHES = 2.0**-25


@contextlib.contextmanager
def quiet() -> Iterator[list[str]]:
    """Silence coremltools' progress, warnings and log, and yield the messages that it logs.

    Some of its modules log to the root logger, whose messages Python prints if the root logger has
    no handler.
    """
    heard: list[str] = []

    class Gather(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            heard.append(record.getMessage().strip())

    logger, gather, mute = logging.getLogger("coremltools"), Gather(), logging.NullHandler()
    propagates = logger.propagate
    logger.addHandler(gather)
    logger.propagate = False
    logging.root.addHandler(mute)
    try:
        with muted():
            yield heard
    finally:
        logger.removeHandler(gather)
        logger.propagate = propagates
        logging.root.removeHandler(mute)


@dataclass(frozen=True)
class Request:
    """A program and the options of its conversion.

    Attributes:
        program: Functional program of fixed sizes.
        target: Name in coremltools of the oldest system that can run the program, as in `iOS17`.
        inputs: Shapes of the inputs, by name.
        outputs: Names of the outputs.
        precision: Precision of the ML Program. In int8, arithmetic around the quantised
            convolutions is in half precision, as on the Neural Engine.
        ranges: For int8, value ranges by which the inputs of convolutions and linear layers are
            quantised; if None, no inputs are quantised.
        plain: Names of operators in the ML Program whose inputs are not quantised.
    """

    program: ExportedProgram
    target: str
    inputs: Mapping[str, Sequence[int]]
    outputs: tuple[str, ...]
    precision: Precision
    ranges: Ranges | None = None
    plain: tuple[str, ...] = ()


def convert(request: Request) -> tuple[Any, tuple[str, ...]]:
    """Convert a program to an ML Program with float32 inputs and outputs.

    Returns:
        The coremltools model, and the operators that were kept in single precision.
    """
    import coremltools as ct

    kept: list[str] = []
    half = ct.transform.FP16ComputePrecision(op_selector=lambda op: not _is_delicate(op, kept))
    model = ct.convert(
        request.program,
        inputs=[
            ct.TensorType(name=name, shape=tuple(shape), dtype=np.float32)
            for name, shape in request.inputs.items()
        ],
        outputs=[ct.TensorType(name=name, dtype=np.float32) for name in request.outputs],
        convert_to="mlprogram",
        minimum_deployment_target=getattr(ct.target, request.target),
        compute_precision=ct.precision.FLOAT32 if request.precision == "fp32" else half,
        pass_pipeline=_pipeline(ct, request),
        skip_model_load=True,
    )
    return model, tuple(kept)


def _is_delicate(operation: Any, kept: list[str]) -> bool:
    """Return whether half precision would zero a constant of the operator or of its producers.

    In x / (s + 1e-12), the sum has the constant, and the quotient requires the sum's precision. A
    delicate operator is appended to `kept`.
    """
    if operation.op_type in ("const", "cast"):
        return False
    delicate = _has_vanishing(operation) or any(
        _has_vanishing(producer) for producer in _producers(operation)
    )
    if delicate:
        kept.append(f"{operation.op_type} {operation.name}")
    return delicate


def _operands(operation: Any) -> Iterator[Any]:
    for value in operation.inputs.values():
        yield from value if isinstance(value, list | tuple) else [value]


def _producers(operation: Any) -> Iterator[Any]:
    for variable in _operands(operation):
        producer = variable.op
        while producer is not None and producer.op_type == "cast":
            producer = producer.inputs["x"].op
        if producer is not None and producer.op_type != "const":
            yield producer


def _has_vanishing(operation: Any) -> bool:
    """Return whether all values of a nonzero constant of the operator round to zero."""
    for variable in _operands(operation):
        if variable.op is None or variable.op.op_type != "const":
            continue
        value = variable.val
        if not isinstance(value, np.ndarray | np.floating) or np.asarray(value).dtype.kind != "f":
            continue
        sizes: NDArray[Any] = np.abs(np.asarray(value, np.float64))
        if sizes.size and 0 < sizes.max() <= _VANISHES:
            return True
    return False


def _pipeline(ct: Any, request: Request) -> Any:
    """Return coremltools' default passes and, if there are ranges, one that quantises inputs."""
    pipeline = ct.PassPipeline.DEFAULT
    if request.ranges is None:
        return pipeline
    optimize: Any = importlib.import_module("coremltools.optimize.coreml")
    settings = optimize.OpLinearQuantizerConfig(mode="linear_symmetric")
    config = optimize.OptimizationConfig(
        op_type_configs={"conv": settings, "linear": settings},
        op_name_configs=dict.fromkeys(request.plain),
    )
    statistics = {name: {"rmin": low, "rmax": high} for name, (low, high) in request.ranges.items()}
    step = "compression::insert_prefix_quantize_dequantize_pair"
    pipeline.append_pass(step)
    pipeline.set_options(step, {"config": config, "activation_stats": statistics})
    return pipeline


def quantise_weights(model: Any) -> Any:
    """Quantise constant weights of layers to symmetric int8 with a scale per channel."""
    from coremltools.optimize import coreml as optimize

    settings = optimize.OpLinearQuantizerConfig(mode="linear_symmetric", weight_threshold=0)
    types = ("conv", "conv_transpose", "linear")
    config = optimize.OptimizationConfig(op_type_configs=dict.fromkeys(types, settings))
    return optimize.linear_quantize_weights(model, config=config)
