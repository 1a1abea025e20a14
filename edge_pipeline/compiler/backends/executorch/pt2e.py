"""Static int8 for ExecuTorch: ranges observed on samples, weights per channel."""

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

from edge_pipeline.compiler.precision.kept_float import input_layers, steps_of
from edge_pipeline.compiler.program import constants_of, layer_of
from edge_pipeline.errors import CompileError

__all__ = ["check_ranges", "quantise"]

_ATEN: Any = torch.ops.aten
_PRODUCTS = ("bmm", "matmul", "mm", "conv2d", "convolution", "linear")

# Observing a histogram leaves out a few values at its ends, by intent; more is a wrong scale.
_CLIPPED = 0.05


class _RangeError(CompileError):
    """The range of an int8 value does not hold what the samples give.

    Args:
        what: is lost, and where, as a clause.
    """

    def __init__(self, what: str) -> None:
        super().__init__(
            f"{what}, and at most {_CLIPPED:.0%} may go; calibrate on samples that span what the "
            "network will see"
        )
        self.what = what


def quantise(
    program: ExportedProgram, samples: Sequence[tuple[Tensor, ...]]
) -> tuple[ExportedProgram, tuple[str, ...]]:
    """`program` with int8 operators, as PT2E and XNNPACK's quantiser write them.

    Activations are per tensor, weights per output channel, both symmetric where XNNPACK wants it.
    Ranges come from histograms of all operators at first. If they do not hold the samples, as that
    of a division by a small number, only convolutions and linear layers are quantised, and then
    with ranges from least to greatest value. If a product has two computed operands, such as
    filters computed at run time, the first attempt is left out: XNNPACK lowers a program of int8
    operators and then does not load it.

    Args:
        program: after all passes, float32; it stays as it is.
        samples: inputs to observe ranges on, each as the program takes them.

    Returns:
        The program, and notes for the user.

    Raises:
        CompileError: there are no samples, or the ranges found do not hold the samples.
    """
    if not samples:
        raise CompileError("int8 needs samples to observe ranges on, and there are none; give some")
    attempts = _ATTEMPTS[1:] if _has_computed_products(program) else _ATTEMPTS
    notes: tuple[str, ...] = ()
    for attempt, following in itertools.pairwise(attempts):
        try:
            return _quantised(program, samples, attempt), notes
        except _RangeError as lost:
            notes = (*notes, f"{following.about}, since otherwise {lost.what}")
    return _quantised(program, samples, attempts[-1]), notes


class _Attempt(NamedTuple):
    """How to quantise: all operators or only convolutions and linear layers, and by what ranges."""

    about: str
    everything: bool
    histograms: bool


_ATTEMPTS = (
    _Attempt("int8 in all operators", everything=True, histograms=True),
    _Attempt("int8 in convolutions and linear layers alone", everything=False, histograms=True),
    _Attempt("int8 ranges from least to greatest value", everything=False, histograms=False),
)


def _quantised(
    program: ExportedProgram, samples: Sequence[tuple[Tensor, ...]], attempt: _Attempt
) -> ExportedProgram:
    """The program as one attempt gives it."""
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
    kept = input_layers(*steps_of(program))
    quantiser.set_filter_function(lambda node: node.name not in kept)
    with _quiet(), torch.no_grad():
        prepared = prepare_pt2e(_without_origins(program), quantiser)
        for sample in samples:
            arguments, named = _called(program, sample)
            prepared(*arguments, **named)
        converted = convert_pt2e(prepared)
        found: ExportedProgram = torch.export.export(converted, arguments, named)
    check_ranges(found, samples)
    return found


def _without_origins(program: ExportedProgram) -> Any:
    """`program` as a module whose operators do not tell which torch function they come from.

    The quantiser looks for pooling by it, and stops at the mean that pooling became.
    """
    module = program.module(check_guards=False)
    for node in module.graph.nodes:
        for key in ("source_fn_stack", "torch_fn", "nn_module_stack"):
            node.meta.pop(key, None)
    return module


def check_ranges(program: ExportedProgram, samples: Sequence[tuple[Tensor, ...]]) -> None:
    """Refuse scales that clip what the samples give.

    Args:
        program: quantised.
        samples: inputs, each as the program takes them.

    Raises:
        CompileError: what the ends of its range cut from a tensor is more than 5 % of it (root
            mean square), or a scale is no number; layer, scale and share are named.
    """
    worst: dict[fx.Node, float] = {}

    class Watch(fx.Interpreter):
        def run_node(self, n: fx.Node) -> Any:
            if "quantize_per_tensor.default" in str(n.target) and "dequantize" not in str(n.target):
                (value, *_), _ = self.fetch_args_kwargs_from_env(n)
                share, before = _clipped(value, n), worst.get(n, 0.0)
                worst[n] = before if share <= before else share  # which keeps what is no number
            return super().run_node(n)

    constants = constants_of(program)
    for sample in samples:
        given = iter(sample)
        names = [spec.arg.name for spec in program.graph_signature.input_specs]
        arguments = [constants[n] if n in constants else next(given) for n in names]
        with torch.no_grad():
            Watch(program.graph_module).run(*arguments)
    for node, share in worst.items():
        if not share <= _CLIPPED:
            scale = f"{node.args[1]:.3g}"
            raise _RangeError(
                f"{layer_of(node)}: int8 with the scale {scale} cuts {share:.1%} off {node.args[0]}"
            )


def _clipped(value: Tensor, node: fx.Node) -> float:
    """How much of `value` lies beyond the range, as a share of its root mean square."""
    scale, zero, low, high = (float(_number(argument)) for argument in node.args[1:5])
    if not (math.isfinite(scale) and scale > 0):
        return math.nan
    # Half a step beyond the last one still rounds to it.
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
    """A sample as the exported module is called with it."""
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
