"""Symbolic sizes as the manifest writes them: `h` and `w`, and multiples such as `16*h`."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.export import ExportedProgram

from edge_pipeline.artifact.tensors import Dtype
from edge_pipeline.compiler.program import user_inputs
from edge_pipeline.errors import CompileError

__all__ = ["DTYPES", "Letters", "dtype_of", "tensors_of"]

DTYPES: dict[torch.dtype, Dtype] = {
    torch.float32: "float32",
    torch.int64: "int64",
    torch.int32: "int32",
    torch.bool: "bool",
}
"""The manifest's names of the types that inputs and outputs may have."""

_LETTERS = {2: "h", 3: "w"}


def tensors_of(program: ExportedProgram) -> tuple[list[Tensor], list[Tensor]]:
    """Shape-only tensors of a program's inputs and outputs, in order."""
    signature = program.graph_signature
    values = {node.name: node.meta.get("val") for node in program.graph.nodes}
    inputs = [values[name] for name in user_inputs(signature)]
    outputs = [values[spec.arg.name] for spec in signature.output_specs]
    return inputs, outputs


def dtype_of(value: Tensor) -> Dtype:
    """The manifest's name of a tensor's type.

    Raises:
        CompileError: inputs and outputs cannot have it.
    """
    if value.dtype not in DTYPES:
        raise CompileError(
            f"an output is {value.dtype}; return {', '.join(DTYPES.values())} from the network"
        )
    return DTYPES[value.dtype]


@dataclass(frozen=True)
class Letters:
    """Which letter stands for which of torch's symbols.

    Attributes:
        by_symbol: the height's symbol to `h`, the width's to `w`; empty where sizes are fixed.
    """

    by_symbol: dict[str, str]

    @classmethod
    def of(cls, program: ExportedProgram) -> Letters:
        """The letters of the first input [N, C, H, W] of a program; none if it has no maps."""
        inputs, _ = tensors_of(program)
        maps = [value for value in inputs if value.dim() == 4]
        found: dict[str, str] = {}
        for dim, letter in _LETTERS.items() if maps else ():
            size = maps[0].shape[dim]
            if isinstance(size, torch.SymInt):
                found |= {str(symbol): letter for symbol in size.node.expr.free_symbols}
        return cls(found)

    def shape(self, value: Tensor) -> tuple[int | str, ...]:
        """A shape with letters, each free size as a multiple of one letter."""
        return tuple(self._dimension(size) for size in value.shape)

    def _dimension(self, size: int | torch.SymInt) -> int | str:
        if isinstance(size, int):
            return size
        # A sympy expression; where sizes scale by whole numbers it is a multiple of one symbol.
        expression = size.node.expr.expand()
        text = str(expression)
        for symbol in expression.free_symbols:
            text = text.replace(str(symbol), self.by_symbol[str(symbol)])
        return text if expression.free_symbols else int(expression)
