"""A network to compile: its module, an example of its inputs, and its description."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from edge_pipeline.artifact.provenance import ModelCard, Source
from edge_pipeline.compiler.source.geometry import Geometry
from edge_pipeline.errors import CompileError, EdgePipelineError

__all__ = ["Network"]

# The widest side that a free size allows, in pixels of the first input.
_WIDEST = 1 << 16


@dataclass(frozen=True)
class Network:
    """A network with weights, and all that is known of it.

    Attributes:
        module: in eval mode.
        geometry: its tensors and sizes.
        source: its origin, for the manifest.
        card: its purpose, for the manifest.
        example: an input for each of its ports.
        free_sizes: whether programs leave height and width open.
        names: parameters of the module's `forward` that the inputs belong to; by place if empty.
        fixed: values for other parameters of `forward`.
    """

    module: nn.Module
    geometry: Geometry
    source: Source
    card: ModelCard
    example: tuple[Tensor, ...] = ()
    free_sizes: bool = False
    names: tuple[str, ...] = ()
    fixed: Mapping[str, object] = field(default_factory=dict)
    _programs: dict[tuple[Any, ...], ExportedProgram] = field(default_factory=dict, repr=False)

    def sized(self, example: tuple[Tensor, ...], *, free_sizes: bool) -> Network:
        """The same network for inputs like `example`."""
        return replace(self, example=example, free_sizes=free_sizes, _programs={})

    def traced(
        self, module: nn.Module, example: tuple[Tensor, ...] | None = None
    ) -> ExportedProgram:
        """Trace a module that wraps the network into a functional program of ATen operators.

        Args:
            module: takes the network's inputs and returns a tuple of tensors.
            example: inputs of other sizes than the network's example.

        Raises:
            CompileError: torch cannot trace the network.
        """
        inputs = self.example if example is None else example
        key = (type(module), getattr(module, "at", None), *(tuple(x.shape) for x in inputs))
        if key not in self._programs:
            self._programs[key] = _exported(module, inputs, self._free_shapes())
        return self._programs[key]

    def _free_shapes(self) -> tuple[tuple[Any, ...]] | None:
        """The sizes that stay free: those of the network's own maps."""
        if not self.free_sizes:
            return None
        geometry, stride = self.geometry, self.geometry.stride
        least, most = max(1, -(-geometry.minimum // stride)), _WIDEST // stride
        rows, columns = Dim("h", min=least, max=most), Dim("w", min=least, max=most)
        steps = [stride * port.times // port.per for port in geometry.inputs]
        return (tuple({2: step * rows, 3: step * columns} for step in steps),)


def _exported(
    module: nn.Module, example: tuple[Tensor, ...], shapes: tuple[tuple[Any, ...]] | None
) -> ExportedProgram:
    try:
        with torch.no_grad():
            program = torch.export.export(module.eval(), example, dynamic_shapes=shapes)
            functional: ExportedProgram = program.run_decompositions({})
    except EdgePipelineError:
        raise
    except Exception as error:
        first = str(error).strip().splitlines() or [type(error).__name__]
        name = type(getattr(module, "network", module)).__name__
        raise CompileError(f"torch cannot trace {name}: {first[0]}") from error
    return functional
