"""A network to compile: its module, an example of its inputs, and its description."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from edge_pipeline.artifact.provenance import ModelCard, Source
from edge_pipeline.compiler.passes.specialise import Specialise
from edge_pipeline.compiler.pipeline import run_passes
from edge_pipeline.compiler.program import Pass
from edge_pipeline.compiler.source.geometry import Geometry
from edge_pipeline.errors import CompileError, EdgePipelineError, first_line

__all__ = ["SourceNetwork"]

# The widest side that a free size allows, in pixels of the first input.
_WIDEST = 1 << 16

_Shapes = tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class SourceNetwork:
    """A network with weights, and all that is known of it.

    Attributes:
        module: in eval mode.
        geometry: its tensors and sizes.
        source: its origin, for the manifest.
        card: its purpose, for the manifest.
        example: an input for each of its ports.
        free_sizes: whether programs leave height and width open.
        names: parameters of the module's `forward` that the inputs belong to; by place if empty.
        fixed: values for other parameters of `forward`, which reads them as Python values.
        steps: passes that every traced program goes through first.
    """

    module: nn.Module
    geometry: Geometry
    source: Source
    card: ModelCard
    example: tuple[Tensor, ...] = ()
    free_sizes: bool = False
    names: tuple[str, ...] = ()
    fixed: Mapping[str, object] = field(default_factory=dict)
    steps: tuple[Pass, ...] = ()
    _programs: dict[_Shapes, ExportedProgram] = field(default_factory=dict, repr=False)

    def sized(self, example: tuple[Tensor, ...], *, free_sizes: bool) -> SourceNetwork:
        """The same network for inputs like `example`."""
        return replace(self, example=example, free_sizes=free_sizes, _programs={})

    def after(self, *steps: Pass) -> SourceNetwork:
        """The same network, whose traced programs go through passes first."""
        return replace(self, steps=(*self.steps, *steps), _programs={})

    def traced(self, example: tuple[Tensor, ...] | None = None) -> ExportedProgram:
        """Trace the network, once for each set of input shapes.

        What the fixed values determine is computed, and is constant in the program.

        Args:
            example: inputs of other sizes than the network's example.

        Raises:
            CompileError: torch cannot trace the network.
        """
        inputs = self.example if example is None else example
        shapes = tuple(tuple(value.shape) for value in inputs)
        if shapes not in self._programs:
            steps = ((Specialise(),) if self.fixed else ()) + self.steps
            whole = self.exported(inputs)
            self._programs[shapes] = run_passes(whole, steps, inputs) if steps else whole
        return self._programs[shapes]

    def with_fixed(self, fixed: Mapping[str, object]) -> SourceNetwork:
        """The same network with other fixed values."""
        return replace(self, fixed=fixed, _programs={})

    def run(self, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Run the network eagerly, with its fixed values."""
        with torch.no_grad():
            outputs: tuple[Tensor, ...] = _Forward(self).eval()(*inputs)
        return outputs

    def exported(self, example: tuple[Tensor, ...]) -> ExportedProgram:
        """Export the network as a functional program of ATen operators.

        Args:
            example: inputs for it.

        Raises:
            InputError: the network does not take its fixed values.
            CompileError: torch cannot trace the network.
        """
        module = _Forward(self).eval()
        try:
            with torch.no_grad():
                free = self._free_shapes()
                program = torch.export.export(module, example, dynamic_shapes=free)
                functional: ExportedProgram = program.run_decompositions({})
        except EdgePipelineError:
            raise
        except Exception as error:
            name = type(self.module).__name__
            raise CompileError(f"torch cannot trace {name}: {first_line(error)}") from error
        return functional

    def _free_shapes(self) -> tuple[tuple[Any, ...]] | None:
        """The sizes that stay free: those of the network's own maps."""
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
    """The whole network as its submodule `network`; takes tensors in order, returns a tuple."""

    def __init__(self, network: SourceNetwork) -> None:
        super().__init__()
        self.network = network.module
        self.names = network.names
        self.fixed = dict(network.fixed)

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Call the network with its inputs and its fixed values."""
        named = dict(zip(self.names, inputs, strict=True)) if self.names else {}
        by_place = () if self.names else inputs
        result = self.network(*by_place, **named, **self.fixed)
        return tuple(result) if isinstance(result, tuple | list) else (result,)
