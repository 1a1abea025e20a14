"""Static int8 quantisation for ExecuTorch, with ranges observed on samples."""

from __future__ import annotations

import itertools
import logging
import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor, fx
from torch.export import ExportedProgram
from torch.utils import _pytree as pytree

from edge_pipeline.compiler.backends.executorch.quantised import (
    quantise_pads,
    restore_origins,
    separate_readers,
)
from edge_pipeline.compiler.precision.kept_float import (
    fingerprint,
    input_layers,
    layers_of,
    statistics,
    steps_of,
)
from edge_pipeline.compiler.program import constants_of, layer_of
from edge_pipeline.errors import CompileError

__all__ = ["check_ranges", "quantise"]

_ATEN: Any = torch.ops.aten
_PRODUCTS = ("bmm", "matmul", "mm", "conv2d", "convolution", "linear")

# The largest share that a range may clip. A range from a histogram deliberately leaves out a few
# values at its ends; a larger share means that the scale is wrong.
_CLIPPED = 0.05


class _RangeError(CompileError):
    """Error if the range of an int8 value does not cover the samples' values.

    Args:
        clipped: Clause that says how much is clipped, and where.
    """

    def __init__(self, clipped: str) -> None:
        super().__init__(
            f"{clipped}, and at most {_CLIPPED:.0%} may be clipped; calibrate on samples that span "
            "the values that the network will see"
        )
        self.clipped = clipped


def quantise(
    program: ExportedProgram,
    samples: Sequence[tuple[Tensor, ...]],
    in_float: frozenset[str] = frozenset(),
) -> tuple[ExportedProgram, tuple[str, ...]]:
    """Quantise `program` to int8 with PT2E and XNNPACK's quantiser.

    Activations have a scale per tensor and weights a scale per output channel, symmetric where
    XNNPACK requires it. The first attempt quantises all operators, with ranges from histograms. If
    a range does not cover the values that the int8 program computes from the samples, as can happen
    for a division by a small number, the second attempt quantises only convolutions and linear
    layers. The third uses ranges from minimum to maximum, which cover all values of the float
    program; if rounding leads beyond them, the comparison with the network measures the loss. If a
    product has two computed operands, such as filters computed at run time, the first attempt is
    skipped: XNNPACK could lower its result and then not load it. It is also skipped if `in_float`
    names layers, so that these compute with maps in float32.

    Args:
        program: Float32 program after all passes; it is not modified.
        samples: Inputs of the program on which ranges are observed.
        in_float: Fingerprints of the weights of layers that stay in float32.

    Returns:
        The quantised program, and notes for the user.

    Raises:
        CompileError: If there are no samples, or a scale is not a positive number.
    """
    if not samples:
        raise CompileError(
            "int8 requires samples to observe value ranges on, and none were given; give a "
            "calibration set"
        )
    layers_only = bool(in_float) or _has_computed_products(program)
    attempts = _ATTEMPTS[1:] if layers_only else _ATTEMPTS
    kept = input_layers(*steps_of(program)) | statistics(program) | _named(program, in_float)
    notes: tuple[str, ...] = ()
    for attempt, following in itertools.pairwise(attempts):
        try:
            return _quantised(program, samples, attempt, kept), notes
        except _RangeError as error:
            notes = (*notes, f"{following.about}, since otherwise {error.clipped}")
    return _quantised(program, samples, attempts[-1], kept), notes


def _named(program: ExportedProgram, keys: frozenset[str]) -> frozenset[str]:
    """Return the names of the layers whose weights have these fingerprints."""
    if not keys:
        return frozenset()
    constants = constants_of(program)
    layers = [(n.name, constants[n.all_input_nodes[1].name]) for n in layers_of(program)]
    return frozenset(name for name, weight in layers if fingerprint(weight.numpy()) in keys)


class _Attempt(NamedTuple):
    """A way to quantise: all operators or only layers, with ranges from histograms or extremes."""

    about: str
    everything: bool
    histograms: bool


_ATTEMPTS = (
    _Attempt("int8 in all operators", everything=True, histograms=True),
    _Attempt("int8 only in convolutions and linear layers", everything=False, histograms=True),
    _Attempt("int8 ranges from minimum to maximum", everything=False, histograms=False),
)


def _quantised(
    program: ExportedProgram,
    samples: Sequence[tuple[Tensor, ...]],
    attempt: _Attempt,
    kept: frozenset[str],
) -> ExportedProgram:
    """Return the program as quantised by one attempt; the operators `kept` stay in float32."""
    from executorch.backends.xnnpack.quantizer import xnnpack_quantizer
    from torchao.quantization.pt2e import MinMaxObserver
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

    quantiser = xnnpack_quantizer.XNNPACKQuantizer()
    config = xnnpack_quantizer.get_symmetric_quantization_config(is_per_channel=True)
    if not attempt.histograms:
        observer = MinMaxObserver.with_args(eps=2**-12)
        spec = replace(config.input_activation, observer_or_fake_quant_ctr=observer)
        config = replace(config, input_activation=spec, output_activation=spec)
    if attempt.everything:
        quantiser.set_global(config)
    else:
        for target in (_ATEN.conv2d.default, _ATEN.linear.default):
            quantiser.set_operator_type(target, config)
    quantiser.set_filter_function(lambda node: node.name not in kept)
    with _quiet(), torch.no_grad():
        prepared = prepare_pt2e(_without_origins(program), quantiser)
        for sample in samples:
            arguments, named = _called(program, sample)
            prepared(*arguments, **named)
        converted = convert_pt2e(prepared)
        quantise_pads(converted)
        separate_readers(converted)
        found: ExportedProgram = torch.export.export(converted, arguments, named)
    restore_origins(found, program)
    check_ranges(found, samples, clipped=_CLIPPED if attempt.histograms else math.inf)
    return found


def _without_origins(program: ExportedProgram) -> Any:
    """Return `program` as a module whose nodes do not record their original torch functions.

    The quantiser finds pooling by this record, and fails at the mean that replaced the pooling.
    """
    module = program.module(check_guards=False)
    for node in module.graph.nodes:
        for key in ("source_fn_stack", "torch_fn", "nn_module_stack"):
            node.meta.pop(key, None)
    return module


def check_ranges(
    program: ExportedProgram,
    samples: Sequence[tuple[Tensor, ...]],
    *,
    clipped: float = _CLIPPED,
) -> None:
    """Raise an error if the scale of a tensor clips the samples' values too much.

    Args:
        program: Quantised program.
        samples: Inputs of the program.
        clipped: Largest share of a tensor (root mean square) that its range may clip; infinity to
            check only that scales are positive numbers.

    Raises:
        CompileError: If a range clips more, or a scale is not a positive number; the message names
            layer, scale and share.
    """
    worst: dict[fx.Node, float] = {}

    class Watch(fx.Interpreter):
        def run_node(self, n: fx.Node) -> Any:
            if "quantize_per_tensor.default" in str(n.target) and "dequantize" not in str(n.target):
                (value, *_), _ = self.fetch_args_kwargs_from_env(n)
                share, before = _clipped(value, n), worst.get(n, 0.0)
                worst[n] = before if share <= before else share  # keeps NaN, unlike max
            return super().run_node(n)

    constants = constants_of(program)
    for sample in samples:
        given = iter(sample)
        names = [spec.arg.name for spec in program.graph_signature.input_specs]
        arguments = [constants[n] if n in constants else next(given) for n in names]
        with torch.no_grad():
            Watch(program.graph_module).run(*arguments)
    for node, share in worst.items():
        if not share <= clipped:
            scale = f"{node.args[1]:.3g}"
            raise _RangeError(
                f"{layer_of(node)}: int8 with the scale {scale} clips {share:.1%} of {node.args[0]}"
            )


def _clipped(value: Tensor, node: fx.Node) -> float:
    """Return the part of `value` beyond the range, as a share of its root mean square."""
    scale, zero, low, high = (float(_number(argument)) for argument in node.args[1:5])
    if not (math.isfinite(scale) and scale > 0):
        return math.nan
    # Values up to half a step beyond the range still round into it.
    inside = value.clamp((low - zero - 0.5) * scale, (high - zero + 0.5) * scale)
    return float((value - inside).norm() / value.norm().clamp(min=1e-30))


def _number(argument: Any) -> Any:
    return math.nan if isinstance(argument, fx.Node) else argument


def _has_computed_products(program: ExportedProgram) -> bool:
    constants = constants_of(program)
    return any(
        str(node.target).split(".")[1] in _PRODUCTS
        and not any(getattr(operand, "name", "") in constants for operand in node.args[:2])
        for node in program.graph.nodes
        if node.op == "call_function" and str(node.target).count(".") > 1
    )


def _called(
    program: ExportedProgram, sample: tuple[Tensor, ...]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the positional and keyword arguments of the exported module for a sample."""
    arguments, named = pytree.tree_unflatten(sample, program.call_spec.in_spec)
    return tuple(arguments), dict(named)


@contextmanager
def _quiet() -> Iterator[None]:
    previous = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(previous)
