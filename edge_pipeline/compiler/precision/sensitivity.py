"""Layers whose rounding to int8 changes a program's outputs most; they can stay in float32."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx
from torch.export import ExportedProgram
from torch.utils import _pytree as pytree

from edge_pipeline.compiler.precision.kept_float import (
    fingerprint,
    input_layers,
    layers_of,
    steps_of,
)
from edge_pipeline.compiler.program import constants_of, layer_of
from edge_pipeline.errors import TooManyInFloatError

__all__ = ["FloatLayers", "float_layers"]

# If more of the constant weights stayed in float32, int8 would save too little.
_MOST = 0.5
# More samples hardly change the order of the layers, and every sample takes one run per layer.
_SAMPLES = 4
_LEVELS = 255


@dataclass(frozen=True)
class FloatLayers:
    """The layers of a program that stay in float32.

    Attributes:
        keys: Fingerprints of their weights; see `fingerprint`.
        names: Their names in the network, those with the largest error first.
        of: Number of layers that int8 could have.
        share: Their share of the constant weights of these layers, from 0 to 1.
    """

    keys: frozenset[str]
    names: tuple[str, ...]
    of: int
    share: float

    def note(self) -> str:
        """Return a sentence for the manifest."""
        named = ", ".join(self.names[:3]) + (", ..." if len(self.names) > 3 else "")
        return (
            f"{len(self.names)} of {self.of} layers, with {self.share:.0%} of the weights, stay in "
            f"float32, since int8 in all layers exceeds the tolerance: {named}"
        )


def float_layers(
    program: ExportedProgram, samples: Sequence[tuple[Tensor, ...]], least_db: float
) -> FloatLayers:
    """Return the layers to keep in float32 so that int8 in all others is exact enough.

    Each layer alone is rounded to int8 (its weights with a scale per output channel, its input and
    its output with the range that the samples reach), and the program's outputs are compared with
    those in float32. Errors of several layers add up as independent noise does, which agreed with
    the programs of all three runtimes within 3 dB. Layers are kept in the order of their noise
    divided by the square root of their number of weights, so that the large ones stay in int8.

    Args:
        program: Float32 program after all passes.
        samples: Inputs of the program, at least one set.
        least_db: PSNR of the outputs, relative to their range including 0, that the estimated noise
            must reach.

    Raises:
        TooManyInFloatError: If more than half of the constant weights would stay in float32.
    """
    trial = _Trial(program, samples[:_SAMPLES])
    noise = trial.noises()
    sizes = {name: trial.constants[trial.weight(name)].numel() for name in noise}
    total, allowed = sum(sizes.values()), 10 ** (-least_db / 10)
    kept: list[str] = []
    left = sum(noise.values())
    for name in sorted(noise, key=lambda n: -noise[n] / math.sqrt(sizes[n])):
        if left <= allowed:
            break
        kept.append(name)
        left = sum(value for n, value in noise.items() if n not in kept)
    share = sum(sizes[name] for name in kept) / max(total, 1)
    if share > _MOST:
        raise TooManyInFloatError(
            f"to be exact enough, {len(kept)} of {len(noise)} layers, with {share:.0%} of the "
            f"weights, would have to stay in float32, and at most {_MOST:.0%} of the weights may"
        )
    keys = {fingerprint(trial.constants[trial.weight(name)].numpy()) for name in kept}
    names = tuple(layer_of(trial.layers[name]) for name in kept)
    return FloatLayers(frozenset(keys), tuple(dict.fromkeys(names)), len(noise), share)


class _Trial:
    """A program that is run with single layers rounded to int8."""

    def __init__(self, program: ExportedProgram, samples: Sequence[tuple[Tensor, ...]]) -> None:
        self.constants = constants_of(program)
        reading = input_layers(*steps_of(program))
        self.layers = {node.name: node for node in layers_of(program) if node.name not in reading}
        self._nodes = list(program.graph.nodes)
        self._inputs = [spec.arg.name for spec in program.graph_signature.input_specs]
        self._runs = [self._values(sample) for sample in samples]
        self._ranges = {name: self._range(name) for name in self._read_or_returned()}

    def weight(self, name: str) -> str:
        """Return the name of a layer's weight."""
        return _operand(self.layers[name], 1).name

    def noises(self) -> dict[str, float]:
        """Return the mean squared error of the outputs over their range, by rounded layer."""
        return {
            name: sum(self._noise(node, values) for values in self._runs) / len(self._runs)
            for name, node in self.layers.items()
        }

    def _values(self, sample: tuple[Tensor, ...]) -> dict[str, Any]:
        """Return every value of the program for a sample, by node name."""
        given = iter(sample)
        held = self.constants
        values: dict[str, Any] = {n: held[n] if n in held else next(given) for n in self._inputs}
        with torch.no_grad():
            for node in self._nodes:
                if node.op == "call_function":
                    values[node.name] = _called(node, values)
        return values

    def _read_or_returned(self) -> set[str]:
        return {n for node in self.layers.values() for n in (_operand(node, 0).name, node.name)}

    def _range(self, name: str) -> tuple[float, float]:
        low = min(float(values[name].min()) for values in self._runs)
        high = max(float(values[name].max()) for values in self._runs)
        return min(low, 0.0), max(high, 0.0)

    def _noise(self, layer: fx.Node, values: Mapping[str, Any]) -> float:
        """Return the error for one sample; only what depends on the layer is computed again."""
        changed: dict[str, Any] = {}
        with torch.no_grad():
            for node in self._nodes[self._nodes.index(layer) :]:
                if node is layer:
                    changed[node.name] = self._rounded(layer, values)
                elif node.op == "call_function" and any(
                    operand.name in changed for operand in node.all_input_nodes
                ):
                    changed[node.name] = _called(node, {**values, **changed})
        outputs = [n.name for n in self._nodes[-1].all_input_nodes]
        return max(_error(values[n], changed.get(n, values[n])) for n in outputs)

    def _rounded(self, layer: fx.Node, values: Mapping[str, Any]) -> Tensor:
        """Return the output of a layer in int8."""
        data, weight = _operand(layer, 0).name, _operand(layer, 1).name
        filters = values[weight]
        axes = tuple(range(1, filters.dim()))
        scale = filters.abs().amax(axes, keepdim=True).clamp(min=1e-12) / (_LEVELS // 2)
        replaced = {
            **values,
            data: _in_steps(values[data], self._ranges[data]),
            weight: (filters / scale).round() * scale,
        }
        return _in_steps(_called(layer, replaced), self._ranges[layer.name])


def _operand(node: fx.Node, index: int) -> fx.Node:
    return node.all_input_nodes[index]


def _called(node: fx.Node, values: Mapping[str, Any]) -> Any:
    def value(argument: Any) -> Any:
        return values[argument.name] if isinstance(argument, fx.Node) else argument

    target: Any = node.target
    arguments, named = pytree.tree_map(value, (node.args, dict(node.kwargs)))
    return target(*arguments, **named)


def _in_steps(value: Tensor, limits: tuple[float, float]) -> Tensor:
    low, high = limits
    step = max(high - low, 1e-12) / _LEVELS
    zero = round(-low / step)
    return ((value / step).round() + zero).clamp(0, _LEVELS).sub(zero) * step


def _error(expected: Tensor, found: Tensor) -> float:
    """Return the mean squared error over the squared range of the expected values and 0."""
    if not (expected.is_floating_point() or expected.dtype in (torch.uint8, torch.int8)):
        return 0.0
    expected, found = expected.double(), found.double()
    span = max(float(expected.max()), 0.0) - min(float(expected.min()), 0.0)
    return float((found - expected).square().mean()) / max(span, 1e-30) ** 2
