"""A network to compile: its module, its example inputs, and its description."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from edge_pipeline.artifact.provenance import ModelCard, Source
from edge_pipeline.artifact.schema import Value
from edge_pipeline.compiler.passes.specialise import Specialise
from edge_pipeline.compiler.pipeline import run_passes
from edge_pipeline.compiler.program import Pass
from edge_pipeline.compiler.quiet import untraced_errors
from edge_pipeline.compiler.source.geometry import Geometry
from edge_pipeline.compiler.source.nesting import flat_outputs, rebuilt_inputs
from edge_pipeline.compiler.source.traced import check_function, failing, untraceable
from edge_pipeline.errors import EdgePipelineError

__all__ = ["SourceNetwork"]

# The widest side that a free size allows, in pixels of the first input.
_WIDEST = 1 << 16

# The shapes of the inputs, or the geometry of a network whose sizes stay free.
_Sizes = tuple[tuple[int, ...], ...] | Geometry


@dataclass(frozen=True)
class SourceNetwork:
    """A network with weights, example inputs and description.

    Attributes:
        module: Module in eval mode.
        geometry: Tensors and sizes.
        source: Origin, for the manifest.
        card: Purpose, for the manifest.
        example: Example inputs, one for each input port.
        free_sizes: Whether height and width stay free in programs.
        arguments: Arguments of `forward` by name, as containers of the example's tensors; None if
            the inputs are positional.
        fixed: Values for other parameters of `forward`, which reads them as Python values.
        steps: Passes to run first on every traced program.
    """

    module: nn.Module
    geometry: Geometry
    source: Source
    card: ModelCard
    example: tuple[Tensor, ...] = ()
    free_sizes: bool = False
    arguments: Mapping[str, Any] | None = field(default=None, repr=False)
    fixed: Mapping[str, object] = field(default_factory=dict)
    steps: tuple[Pass, ...] = ()
    _exports: dict[_Sizes, ExportedProgram] = field(default_factory=dict, repr=False)
    _programs: dict[_Sizes, ExportedProgram] = field(default_factory=dict, repr=False)

    def sized(self, example: tuple[Tensor, ...], *, free_sizes: bool) -> SourceNetwork:
        """Return the network with another example."""
        return replace(self, example=example, free_sizes=free_sizes, _programs={})

    def after(self, *steps: Pass) -> SourceNetwork:
        """Return the network with additional passes that run first on its traced programs."""
        return replace(self, steps=(*self.steps, *steps), _programs={})

    def traced(self, example: tuple[Tensor, ...] | None = None) -> ExportedProgram:
        """Trace the network, once for each set of input shapes, or once for free sizes.

        Values that depend only on the fixed values become constants of the program. Networks from
        `sized` and `after` share what torch exported, which takes most of the time.

        Args:
            example: Inputs of other sizes than the network's example.

        Raises:
            CompileError: If torch cannot trace the network.
        """
        inputs = self.example if example is None else example
        shapes = tuple(tuple(value.shape) for value in inputs)
        sizes = self.geometry if self.free_sizes else shapes
        if sizes not in self._programs:
            if sizes not in self._exports:
                self._exports[sizes] = self.exported(inputs)
            whole = self._exports[sizes]
            steps = ((Specialise(),) if self.fixed else ()) + self.steps
            self._programs[sizes] = run_passes(whole, steps, inputs) if steps else whole
        return self._programs[sizes]

    def with_fixed(self, fixed: Mapping[str, object]) -> SourceNetwork:
        """Return the network with other fixed values."""
        return replace(self, fixed=fixed, _exports={}, _programs={})

    def recorded_fixed(self) -> dict[str, Value]:
        """Return the fixed values for the manifest; values of other types become their `repr`."""
        return {
            name: value if isinstance(value, str | int | float) else repr(value)
            for name, value in self.fixed.items()
        }

    def run(self, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Run the network eagerly, with its fixed values."""
        return tuple(self.named_outputs(inputs).values())

    def named_outputs(self, inputs: tuple[Tensor, ...]) -> dict[str, Tensor]:
        """Run the network eagerly, with its fixed values; return its outputs by name, in order.

        Raises:
            InputError: If the network returns other values than tensors.
        """
        with torch.no_grad():
            result = _Forward(self).eval().result(*inputs)
        return flat_outputs(result, [port.name for port in self.geometry.inputs])

    def exported(self, example: tuple[Tensor, ...]) -> ExportedProgram:
        """Export the network as a functional program of ATen operators.

        Args:
            example: Inputs to trace with.

        Raises:
            InputError: If the network does not support its fixed values.
            CompileError: If torch cannot trace the network.
        """
        module, name = _Forward(self).eval(), type(self.module).__name__
        try:
            with torch.no_grad(), untraced_errors():
                free = self._free_shapes()
                program = torch.export.export(module, example, dynamic_shapes=free)
                functional: ExportedProgram = program.run_decompositions({})
        except EdgePipelineError:
            raise
        except Exception as error:
            self._try(example)
            raise untraceable(name, error) from error
        check_function(functional, name, [port.name for port in self.geometry.inputs])
        return functional

    def _try(self, example: tuple[Tensor, ...]) -> None:
        """Raise an error if the network fails on its example, not only when torch traces it."""
        try:
            self.run(example)
        except EdgePipelineError:
            raise
        except Exception as error:
            raise failing(type(self.module).__name__, error) from error

    def _free_shapes(self) -> tuple[tuple[Any, ...]] | None:
        """Return the free sizes of the network's maps as dynamic shapes for `torch.export`."""
        if not self.free_sizes:
            return None
        geometry, stride = self.geometry, self.geometry.stride
        least, most = max(1, -(-geometry.minimum // stride)), _WIDEST // stride
        rows, columns = Dim("h", min=least, max=most), Dim("w", min=least, max=most)
        steps = [stride * port.times // port.per for port in geometry.inputs]
        free = [{2: step * rows, 3: step * columns} for step in steps]
        ports = zip(geometry.inputs, free, strict=True)
        return (tuple(None if port.fixed is not None else sizes for port, sizes in ports),)


class _Forward(nn.Module):
    """A wrapper that takes the network's inputs in order and returns a tuple of outputs."""

    def __init__(self, network: SourceNetwork) -> None:
        super().__init__()
        self.network = network.module
        self.arguments = network.arguments
        self.fixed = dict(network.fixed)
        self.before, self.star = _places(network.module)

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Call the network with its inputs and its fixed values."""
        return tuple(flat_outputs(self.result(*inputs)).values())

    def result(self, *inputs: Tensor) -> Any:
        """Return the network's own result."""
        if self.arguments is None:
            return self.network(*inputs, **self.fixed)
        given = rebuilt_inputs(self.arguments, iter(inputs)) | self.fixed
        if self.star not in given:
            return self.network(**given)
        placed = [given.pop(name) for name in self.before if name in given]
        return self.network(*placed, *given.pop(self.star), **given)


def _places(module: nn.Module) -> tuple[list[str], str | None]:
    """Return the names of the parameters of `forward` before `*args`, and that of `*args`."""
    parameters = list(inspect.signature(module.forward).parameters.values())
    for place, parameter in enumerate(parameters):
        if parameter.kind is parameter.VAR_POSITIONAL:
            return [p.name for p in parameters[:place]], parameter.name
    return [], None
