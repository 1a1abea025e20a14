"""Lower convolution: replace convolutions that a runtime computes slowly by matrix products."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, fx
from torch.export import ExportedProgram

from edge_pipeline.compiler.analysis.conv2d import Conv2d, conv2ds
from edge_pipeline.compiler.analysis.refusals import Refused, refusal
from edge_pipeline.compiler.lowering.choice import choose
from edge_pipeline.compiler.lowering.convolution import ConvGeometry, ConvPlan, convolve
from edge_pipeline.compiler.lowering.cost_model import CONSTANT, NATIVE, Call, load_costs
from edge_pipeline.compiler.lowering.padding import Padding, reflection
from edge_pipeline.compiler.program import Editor, Result, value_of
from edge_pipeline.device_profile import DEFAULT_TARGET
from edge_pipeline.errors import CompileError

__all__ = ["LowerConvolution"]

_ATEN = torch.ops.aten
_ONE = "run the pass raise_convolution first, which rewrites it as a conv2d"
_THREE = "write it as conv2d calls, or make its weights parameters"
# Operators that no algorithm here computes, each with the remedy if its weights are computed.
_OTHERS = {
    _ATEN.conv1d.default: _ONE,
    _ATEN.conv1d.padding: _ONE,
    _ATEN.conv2d.padding: _ONE,
    _ATEN.conv_transpose1d.default: _ONE,
    _ATEN.conv_transpose2d.input: _ONE,
    _ATEN.conv3d.default: _THREE,
    _ATEN.conv3d.padding: _THREE,
    _ATEN.conv_transpose3d.input: _THREE,
    _ATEN.convolution.default: _THREE,
}


class _Site(NamedTuple):
    """A conv2d with its operands; padding by reflection before it is part of `call`."""

    source: fx.Node
    weight: fx.Node
    bias: fx.Node | None
    call: Call
    batch: int

    @classmethod
    def of(cls, own: Conv2d) -> _Site:
        source, padding = own.source, Padding(*own.padding, "zeros")
        reflected = reflection(source)
        if reflected is not None and own.padding == (0, 0):
            source, padding = reflected.source, reflected.padding
        geometry = ConvGeometry(padding, own.stride, own.dilation, own.groups)
        n, _, height, width = value_of(source).shape
        n_out, n_in, rows, columns = value_of(own.weight).shape
        call = Call((height, width), (n_out, n_in, rows, columns), geometry, own.bias is not None)
        return cls(source, own.weight, own.bias, call, n)


class LowerConvolution:
    """Replace convolutions by matrix products if the cost model predicts that this is faster.

    x -> pad(reflect) -> conv2d(., weight) + bias
    becomes
    x -> strips: slices, concatenation, bmm, slices, additions -> concatenation

    The algorithm and its strips are chosen for each layer by the costs measured on a device; the
    runtime's own convolution is one of the choices. XNNPACK supports no computed weights at all,
    and wastes most of its work if there are few output channels, even with constant weights.
    Padding by reflection is included, so that no padded map is made; a computed bias is one more
    row of the product. The samples of a batch that share their weights are lowered one by one.

    Args:
        backend: Name of the backend whose costs are used, as in the registry.
        target: Name of the device profile for which the costs were measured.
        plan: Plan for all convolutions that can be lowered, instead of a choice; for measurements.
        constants: Whether to lower convolutions with constant weights too.
    """

    name = "lower_convolution"
    why = "a delegate packs weights ahead of time; with computed ones the fallback is 100 x slower"

    def __init__(
        self,
        backend: str,
        target: str = DEFAULT_TARGET,
        plan: ConvPlan | None = None,
        *,
        constants: bool = True,
    ) -> None:
        self.backend = backend
        self.target = target
        self.plan = plan
        self.constants = constants

    def on(self, target: str, *, constants: bool) -> LowerConvolution:
        """Return the same pass with the costs of `target`, with or without constant weights."""
        return LowerConvolution(self.backend, target, self.plan, constants=constants)

    def run(self, program: ExportedProgram) -> Result:
        """Return the rewritten program.

        Raises:
            CompileError: If no algorithm computes some convolutions with computed weights; the
                message names all of them.
            InputError: If the target has no measured costs.
        """
        editor = Editor(program)
        refused = [
            Refused.of(node, f"a {str(node.target).split('.')[1]} has computed weights", remedy)
            for target, remedy in _OTHERS.items()
            for node in editor.calls(target)
            if editor.constant(node.args[1]) is None
        ]
        for convolution in conv2ds(editor):
            node, site = convolution.node, _Site.of(convolution)
            constant = editor.constant(site.weight) is not None
            if constant and (site.batch != 1 or not self.constants):
                continue
            plan = self._choice(site.call, constant=constant)
            if plan is None:
                problem = (
                    f"its weights are computed, and no algorithm is measured for {self.target}"
                )
                remedy = (
                    f"measure them with `edge-pipeline calibrate-device --backend {self.backend}`"
                )
                refused.append(Refused.of(node, problem, remedy))
            elif plan not in (CONSTANT, NATIVE):
                _lower(editor, node, site, plan, constant=constant)
        if refused:
            heading = f"{self.backend} does not support these computed weights"
            raise CompileError(refusal(heading, refused))
        return editor.finish()

    def _choice(self, call: Call, *, constant: bool) -> ConvPlan | None:
        if self.plan is not None:
            return self.plan
        costs = load_costs(self.target).backends.get(self.backend)
        found = None if costs is None else choose(costs, call, constant=constant)
        return CONSTANT if found is None and constant else found


def _lower(editor: Editor, node: fx.Node, site: _Site, plan: ConvPlan, *, constant: bool) -> None:
    geometry = site.call.geometry
    operands = [site.source, site.weight] + ([] if site.bias is None else [site.bias])
    # Constant weights stay whole, so that they can be found and exchanged in the written files.
    ones = None if constant else site.call.ones(plan)
    if ones is not None:
        operands.append(editor.add_constant(ones, f"ones_{ones.shape[2]}x{ones.shape[3]}"))

    def lowered(x: Tensor, weight: Tensor, *rest: Tensor) -> Tensor:
        samples = [
            convolve(_sample(x, i, site.batch), weight, geometry, plan, *rest)
            for i in range(site.batch)
        ]
        return samples[0] if site.batch == 1 else torch.cat(samples, 0)

    n_out, n_in, rows, columns = site.call.weight
    original = f"a {rows}x{columns} convolution {n_in * geometry.groups} -> {n_out}"
    editor.replace(node, lowered, operands, f"{original} was lowered by {plan}")


def _sample(x: Tensor, index: int, batch: int) -> Tensor:
    """Return one sample of a batch, [1, C, H, W]."""
    if batch == 1:
        return x
    sample: Tensor = _ATEN.slice.Tensor(x, 0, index, index + 1)
    return sample
