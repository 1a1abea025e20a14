"""Lower convolution: matrix products in the place of convolutions that a runtime does badly."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, fx
from torch.export import ExportedProgram

from edge_pipeline.compiler.analysis.refusals import Refused, refusal
from edge_pipeline.compiler.lowering.choice import choose
from edge_pipeline.compiler.lowering.convolution import ConvGeometry, ConvPlan, convolve
from edge_pipeline.compiler.lowering.cost_model import CONSTANT, NATIVE, Call, load_costs
from edge_pipeline.compiler.lowering.padding import Padding, reflection
from edge_pipeline.compiler.program import Editor, Result, value_of
from edge_pipeline.device_profile import DEFAULT_DEVICE
from edge_pipeline.errors import CompileError

__all__ = ["LowerConvolution"]

_ATEN = torch.ops.aten
_CONV = _ATEN.conv2d.default
_ONE = "the pass raise_convolution must come first, which makes it a conv2d"
_THREE = "write it as conv2d calls, or make its weights parameters"
# Those that no algorithm here computes, each with what helps if its weights are computed.
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
    """A conv2d with its operands, and what it takes of the map before its padding."""

    source: fx.Node
    weight: fx.Node
    bias: fx.Node | None
    call: Call
    batch: int

    @classmethod
    def of(cls, node: fx.Node) -> _Site:
        given: dict[int, Any] = dict(enumerate(node.args))

        def pair(index: int, default: int) -> tuple[int, int]:
            value = given.get(index, default)
            first, second = (value, value) if isinstance(value, int) else value * (2 // len(value))
            return first, second

        source, amounts = given[0], pair(4, 0)
        padding = Padding(*amounts, "zeros")
        reflected = reflection(source)
        if reflected is not None and amounts == (0, 0):
            source, padding = reflected.source, reflected.padding
        geometry = ConvGeometry(padding, pair(3, 1), pair(5, 1), given.get(6, 1))
        n, _, height, width = value_of(source).shape
        n_out, n_in, rows, columns = value_of(given[1]).shape
        bias = given.get(2)
        call = Call((height, width), (n_out, n_in, rows, columns), geometry, bias is not None)
        return cls(source, given[1], bias, call, n)


class LowerConvolution:
    """Replace convolutions by matrix products where the cost model says that this is faster.

    x -> pad(reflect) -> conv2d(., weight) + bias
    becomes
    x -> strips: slices, concatenation, bmm, slices, additions -> concatenation

    Which algorithm, and in which strips, is chosen for each layer by the costs measured on a
    device; one choice is to leave it to the runtime. XNNPACK takes no computed weights at all, and
    wastes most of its work where few channels come out, constant weights or not. Padding by
    reflection is taken in, so that no padded map is made; a computed bias is one more row of the
    product. The samples of a batch that share their weights are lowered one by one.

    Args:
        backend: whose costs count, as in the registry.
        device: on which they were measured.
        plan: for all that can be lowered, in the place of the choice; for measuring.
        constants: whether convolutions with constant weights are lowered too.
    """

    name = "lower_convolution"
    why = "a delegate packs weights ahead of time; with computed ones the fallback is 100 x slower"

    def __init__(
        self,
        backend: str,
        device: str = DEFAULT_DEVICE,
        plan: ConvPlan | None = None,
        *,
        constants: bool = True,
    ) -> None:
        self.backend = backend
        self.device = device
        self.plan = plan
        self.constants = constants

    def on(self, device: str, *, constants: bool) -> LowerConvolution:
        """The same pass by the costs of another device, for constant weights or not."""
        return LowerConvolution(self.backend, device, self.plan, constants=constants)

    def run(self, program: ExportedProgram) -> Result:
        """See the class.

        Raises:
            CompileError: convolutions with computed weights are none that the algorithms
                compute; all of them are named.
            InputError: the device has no measured costs.
        """
        editor = Editor(program)
        refused = [
            Refused.of(node, f"a {str(node.target).split('.')[1]} has computed weights", remedy)
            for target, remedy in _OTHERS.items()
            for node in editor.calls(target)
            if editor.constant(node.args[1]) is None
        ]
        for node in editor.calls(_CONV):
            site = _Site.of(node)
            constant = editor.constant(site.weight) is not None
            if constant and (site.batch != 1 or not self.constants):
                continue
            plan = self._choice(site.call, constant=constant)
            if plan is None:
                problem = f"its weights are computed, and {self.device} has no algorithm measured"
                remedy = f"measure with tools/fit_cost_model.py for {self.backend}"
                refused.append(Refused.of(node, problem, remedy))
            elif plan not in (CONSTANT, NATIVE):
                _lower(editor, node, site, plan, constant=constant)
        if refused:
            raise CompileError(refusal(f"{self.backend} takes no computed weights", refused))
        return editor.finish()

    def _choice(self, call: Call, *, constant: bool) -> ConvPlan | None:
        if self.plan is not None:
            return self.plan
        costs = load_costs(self.device).backends.get(self.backend)
        found = None if costs is None else choose(costs, call, constant=constant)
        return CONSTANT if found is None and constant else found


def _lower(editor: Editor, node: fx.Node, site: _Site, plan: ConvPlan, *, constant: bool) -> None:
    geometry = site.call.geometry
    operands = [site.source, site.weight] + ([] if site.bias is None else [site.bias])
    # Constant weights stay whole, so that they can be found and exchanged in what is written.
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
    what = f"a {rows}x{columns} convolution {n_in * geometry.groups} -> {n_out}"
    editor.replace(node, lowered, operands, f"{what} became matrix products, {plan}")


def _sample(x: Tensor, index: int, batch: int) -> Tensor:
    """One sample of a batch, [1, C, H, W]."""
    if batch == 1:
        return x
    sample: Tensor = _ATEN.slice.Tensor(x, 0, index, index + 1)
    return sample
