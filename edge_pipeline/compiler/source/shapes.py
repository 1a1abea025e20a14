"""Symbolic sizes in the manifest's notation: `h` and `w`, and multiples such as `16*h`."""

from __future__ import annotations

import re
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
    torch.uint8: "uint8",
    torch.int8: "int8",
    torch.bool: "bool",
}
"""The types that inputs and outputs may have, and their names in the manifest."""

_LETTERS = {2: "h", 3: "w"}
_MULTIPLE = re.compile(r"([0-9]+\*)?[hw]")


def tensors_of(program: ExportedProgram) -> tuple[list[Tensor], list[Tensor]]:
    """Return the shape-only (fake) tensors of a program's inputs and outputs, in order."""
    signature = program.graph_signature
    values = {node.name: node.meta.get("val") for node in program.graph.nodes}
    inputs = [values[name] for name in user_inputs(signature)]
    outputs = [values[spec.arg.name] for spec in signature.output_specs]
    return inputs, outputs


def dtype_of(value: Tensor) -> Dtype:
    """Return the manifest's name of a tensor's type.

    Raises:
        CompileError: If inputs and outputs cannot have this type.
    """
    if value.dtype not in DTYPES:
        raise CompileError(
            f"an output is {str(value.dtype).removeprefix('torch.')}; for every backend, return "
            f"{', '.join(DTYPES.values())} from the network"
        )
    return DTYPES[value.dtype]


@dataclass(frozen=True)
class Letters:
    """The manifest's letters for torch's symbolic sizes.

    Attributes:
        by_symbol: The letter by symbol, `h` for the height and `w` for the width; empty if sizes
            are fixed.
    """

    by_symbol: dict[str, str]

    @classmethod
    def of(cls, program: ExportedProgram) -> Letters:
        """Return the letters for the first input [N, C, H, W] of a program; none without maps."""
        inputs, _ = tensors_of(program)
        maps = [value for value in inputs if value.dim() == 4]
        found: dict[str, str] = {}
        for dim, letter in _LETTERS.items() if maps else ():
            size = maps[0].shape[dim]
            if isinstance(size, torch.SymInt):
                found |= {str(symbol): letter for symbol in size.node.expr.free_symbols}
        return cls(found)

    def shape(self, value: Tensor) -> tuple[int | str, ...]:
        """Return the shape of a tensor, with each free size as a multiple of one letter.

        A size that is not a multiple gets a name of its own, such as `size_floor_h_4`.
        """
        return tuple(self._dimension(size) for size in value.shape)

    def _dimension(self, size: int | torch.SymInt) -> int | str:
        if isinstance(size, int):
            return size
        # A sympy expression; if sizes scale by integers, it is a multiple of one symbol.
        expression = size.node.expr.expand()
        text = str(expression)
        for symbol in expression.free_symbols:
            text = text.replace(str(symbol), self.by_symbol[str(symbol)])
        if not expression.free_symbols:
            return int(expression)
        # Any other expression, such as that of a map after strided convolutions, gets a name.
        named = "size_" + re.sub("[^a-z0-9]+", "_", text).strip("_")
        return text if _MULTIPLE.fullmatch(text) else named
