"""Lower patch-wise convolution to batched products over patches instead of channel groups."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, fx
from torch.export import ExportedProgram

from edge_pipeline.compiler.analysis.conv2d import CONV2D, Conv2d
from edge_pipeline.compiler.analysis.movement import MOVEMENTS, arrived, chain, has_fixed_shape
from edge_pipeline.compiler.lowering.patchwise import (
    Added,
    Clamp,
    Depthwise,
    DepthwiseAlgorithm,
    Pointwise,
    Stage,
    run,
)
from edge_pipeline.compiler.program import Editor, Result, layer_of, value_of
from edge_pipeline.models.layers.patchwise import merge, split

__all__ = ["LowerPatchwise"]

_ATEN = torch.ops.aten
# Operators, besides movements, that cut a map into overlapping patches.
_CUTTERS = (_ATEN.unfold.default, _ATEN.pad.default, _ATEN.reflection_pad2d.default)
_LIMITS = {
    _ATEN.relu.default: (0.0, None),
    _ATEN.relu6.default: (0.0, 6.0),
    _ATEN.hardtanh.default: (-1.0, 1.0),
    _ATEN.clamp.default: (None, None),
}
_DECIDED_BY_ARGUMENTS = (_ATEN.hardtanh.default, _ATEN.clamp.default)
_TRACED_META = ("nn_module_stack", "stack_trace")


class _NotLowered(Exception):  # noqa: N818 - not an error: it becomes a note
    """The reason, a clause, why patches cannot be lowered."""


@dataclass(frozen=True)
class _Step:
    """One operator on patches, its other operands, and a function that makes its stage of them."""

    node: fx.Node
    operands: tuple[fx.Node, ...]
    stage: Callable[..., Stage]


@dataclass(frozen=True)
class _Region:
    """The operators between a map that is cut into patches and the map merged from them."""

    source: fx.Node
    grid: tuple[int, int]
    halo: int
    steps: tuple[_Step, ...]


class LowerPatchwise:
    """Replace all operators between the cutting of a map into patches and the merging of them.

    map -> pad, unfold, permute, view -> conv2d(groups=patches * G), + , clamp, ... -> permute, view
    becomes
    strips: window, view, permute -> bmm; slices, products and sums or conv2d; ... -> cat

    The operators that cut and merge are found by passing the indices of the pixels through the
    operators that move values, and comparing the result with the definition in
    `models/layers/patchwise.py`. So the network may write them in any way, and a swapped axis or
    a missing halo is never accepted. Lowered operators keep the names of the layers.

    Args:
        depthwise: Algorithm for depth-wise convolutions, chosen by the backend.
    """

    name = "lower_patchwise"
    why = "a convolution with one channel group per patch is 100 x slower, or cannot be delegated"

    def __init__(self, depthwise: DepthwiseAlgorithm) -> None:
        self.depthwise = depthwise

    def run(self, program: ExportedProgram) -> Result:
        """Return the rewritten program; maps left unchanged have a note with the reason."""
        editor = Editor(program)
        # From the last node to the first: of several possible ends of a region, the last is taken.
        for node in reversed(list(editor.calls(*MOVEMENTS))):
            if node._erased or not _may_be_a_map(node):
                continue
            try:
                region = _region(editor, node, self.depthwise)
            except _NotLowered as reason:
                editor.notes.append(f"{layer_of(node)}: patches were not lowered, since {reason}")
                continue
            if region is not None:
                _lower(editor, node, region)
                editor.graph.eliminate_dead_code()
        return editor.finish()


def _may_be_a_map(node: fx.Node) -> bool:
    value = node.meta.get("val")
    return isinstance(value, Tensor) and value.dim() == 4 and has_fixed_shape(node)


def _numbers(shape: Sequence[int]) -> Tensor:
    # In float64, which padding supports and which represents all indices exactly.
    return torch.arange(torch.Size(shape).numel(), dtype=torch.float64).reshape(tuple(shape))


def _region(editor: Editor, node: fx.Node, algorithm: DepthwiseAlgorithm) -> _Region | None:
    """Return the region that ends in `node`; None if `node` does not merge patches."""
    computed, *movements = chain(node)
    shape = value_of(node).shape
    if not movements or not _may_be_a_map(computed) or shape[0] != 1:
        return None
    tall, wide = value_of(computed).shape[2:]
    if shape[2] % tall or shape[3] % wide:
        return None
    grid = (shape[2] // tall, shape[3] // wide)
    count = grid[0] * grid[1]
    if value_of(computed).numel() != shape.numel():
        return None
    numbers = _numbers(value_of(computed).shape)
    together = merge(numbers.reshape(count, -1, tall, wide), grid)
    if not torch.equal(arrived(numbers, movements), together):
        return None
    steps: list[_Step] = []
    while True:
        step, before = _step(editor, computed, count, algorithm)
        steps.insert(0, step)
        cut = _cut(before, grid, shape[2:])
        if cut is not None:
            convolves = any(step.node.target is CONV2D for step in steps)
            return _Region(cut[0], grid, cut[1], tuple(steps)) if convolves else None
        computed = _same_patches(before)


def _same_patches(node: fx.Node) -> fx.Node:
    """Return the operator that computes the patches in `node`; no pixel may change its place."""
    computed, *movements = chain(node)
    numbers = _numbers(value_of(computed).shape)
    if not torch.equal(arrived(numbers, movements).flatten(), numbers.flatten()):
        raise _NotLowered(f"{node.name} moves the pixels of the patches")
    return computed


def _cut(node: fx.Node, grid: tuple[int, int], size: Sequence[int]) -> tuple[fx.Node, int] | None:
    """Return the map of `size` whose patches `node` holds, and their halo; None if there is none.

    A single patch counts only if `unfold` cuts it out; otherwise every map would be a patch.
    """
    count = grid[0] * grid[1]
    taken: list[fx.Node] = []
    current = node
    tall, wide = value_of(node).shape[2:]
    while current.target in (*MOVEMENTS, *_CUTTERS):
        taken.insert(0, current)
        source: Any = current.args[0]
        current = source
        shape = value_of(current).shape
        if len(shape) != 4 or shape[0] != 1 or shape[2:] != size:
            continue
        halo, odd = divmod(tall - shape[2] // grid[0], 2)
        same = wide - shape[3] // grid[1] == 2 * halo
        if odd or not same or not 0 <= halo < min(shape[2] // grid[0], shape[3] // grid[1]):
            continue
        if value_of(node).numel() != count * shape[1] * tall * wide:
            continue
        if count == 1 and not any(step.target is _ATEN.unfold.default for step in taken):
            continue
        numbers = _numbers(shape)
        if torch.equal(arrived(numbers, taken).flatten(), split(numbers, grid, halo).flatten()):
            return current, halo
    return None


def _step(
    editor: Editor, node: fx.Node, count: int, algorithm: DepthwiseAlgorithm
) -> tuple[_Step, fx.Node]:
    """Return the step of `node` on `count` patches, and the node that holds these patches."""
    if len(node.users) != 1:
        raise _NotLowered(f"{node.name} is also used by others")
    first: Any = node.args[0] if node.args else None
    convolution = Conv2d.of(node)
    if convolution is not None:
        return _convolution(editor, convolution, count, algorithm), first
    if node.target in _LIMITS:
        low, high = _limits(node)
        return _Step(node, (), lambda: Clamp(low, high)), first
    if node.target is _ATEN.add.Tensor and not node.kwargs:
        second: Any = node.args[1]
        if editor.constant(first) is not None:
            first, second = second, first
        value = editor.constant(second)
        channels = value_of(node).numel() // count // value_of(node).shape[2:].numel()
        if value is not None and value.shape in ((1, channels, 1, 1), (channels, 1, 1)):
            return _Step(node, (second,), Added), first
    raise _NotLowered(f"{node.name} ({node.target}) is not supported on patches")


def _limits(node: fx.Node) -> tuple[float | None, float | None]:
    target: Any = node.target
    low, high = _LIMITS[target]
    if node.target not in _DECIDED_BY_ARGUMENTS:
        return low, high
    given: Any = dict(zip(("low", "high"), node.args[1:], strict=False))
    names: Any = {"min": "low", "min_val": "low", "max": "high", "max_val": "high"}
    given |= {names[key]: value for key, value in node.kwargs.items()}
    return given.get("low", low), given.get("high", high)


def _convolution(
    editor: Editor, convolution: Conv2d, count: int, algorithm: DepthwiseAlgorithm
) -> _Step:
    """Return the step of a conv2d over patches in channel groups."""
    node, weight, groups = convolution.node, convolution.weight, convolution.groups
    if editor.constant(weight) is not None:
        raise _NotLowered(f"the weights of {node.name} are constants")
    if not replace(convolution, groups=1).is_plain:
        raise _NotLowered(f"{node.name} has a stride, a padding or a dilation")
    if convolution.bias is not None:
        raise _NotLowered(f"{node.name} has a bias")
    out, each, rows, columns = value_of(weight).shape
    out_channels, in_channels = out // count, each * groups // count
    if groups == count and rows == columns == 1:

        def pointwise(w: Tensor) -> Stage:
            return Pointwise(w.reshape(count, out_channels, in_channels))

        return _Step(node, (weight,), pointwise)
    if each == 1 and groups == out:

        def depthwise(w: Tensor) -> Stage:
            return Depthwise(w.reshape(count, out_channels, rows, columns), algorithm)

        return _Step(node, (weight,), depthwise)
    raise _NotLowered(
        f"{node.name} has kernels of {rows}x{columns} over {each} channels, and only 1x1 kernels "
        "over all channels and depth-wise kernels are lowered"
    )


def _lower(editor: Editor, node: fx.Node, region: _Region) -> None:
    operands = [operand for step in region.steps for operand in step.operands]

    def lowered(x: Tensor, *given: Tensor) -> Tensor:
        rest = iter(given)
        stages = [step.stage(*(next(rest) for _ in step.operands)) for step in region.steps]
        return run(x, region.grid, region.halo, stages)

    before = set(editor.graph.nodes)
    rows, columns = region.grid
    layers = dict.fromkeys(layer_of(step.node) for step in region.steps if step.operands)
    editor.replace(
        node,
        lowered,
        [region.source, *operands],
        f"{rows}x{columns} patches with a halo of {region.halo} go through {', '.join(layers)} "
        "in strips",
    )
    _name_layers(editor, before, region)


def _name_layers(editor: Editor, before: set[fx.Node], region: _Region) -> None:
    """Assign to each new node the layer of the last step whose weights it depends on."""
    level: dict[fx.Node, int] = {}
    for number, step in enumerate(region.steps):
        level |= dict.fromkeys(step.operands, number)
    for node in editor.graph.nodes:
        if node in before:
            continue
        level[node] = max((level.get(n, 0) for n in node.all_input_nodes), default=0)
        origin = region.steps[level[node]].node
        node.meta |= {key: origin.meta[key] for key in _TRACED_META if key in origin.meta}
