"""A network that runs at any size with the weights that it computed for its example."""

from __future__ import annotations

from fractions import Fraction

from torch import Tensor
from torch.export import ExportedProgram

from edge_pipeline.compiler.analysis.computed import frontier
from edge_pipeline.compiler.analysis.cutting import cut_at, inputs_left
from edge_pipeline.compiler.program import run_program
from edge_pipeline.compiler.source.network import SourceNetwork

__all__ = ["FixedWeightsNetwork", "Part", "Size", "ratio_to"]

Size = tuple[int, int]
Part = tuple[tuple[int, int], tuple[int, int]]
"""The first and the end row, and the first and the end column, of a part of the first input."""


class FixedWeightsNetwork:
    """A network whose computed weights are kept constant, as for all tiles of a capture.

    A map is an input [N, C, h, w] whose two sides have the same ratio to those of the first input.

    Args:
        network: Network whose first example input is a map.

    Attributes:
        size: Height and width of the example's first input.
    """

    def __init__(self, network: SourceNetwork) -> None:
        first = network.example[0]
        self._network = network
        self.size: Size = (first.shape[2], first.shape[3])
        ratios = {i: ratio_to(value, self.size) for i, value in enumerate(network.example)}
        self._maps = {i: ratio for i, ratio in ratios.items() if ratio is not None}
        self._paths: dict[Size, tuple[ExportedProgram, list[int]]] = {}
        whole = network.traced()
        nodes = list(frontier(whole))
        self._cut = [node.name for node in nodes]
        self._weights = run_program(cut_at(whole, nodes), network.example) if nodes else []

    def inputs(self, size: Size) -> tuple[Tensor, ...]:
        """Return the example with its maps tiled and cropped to another size."""
        result = list(self._network.example)
        for i, ratio in self._maps.items():
            rows, columns = (int(side * ratio) for side in size)
            times = (-(-rows // result[i].shape[2]), -(-columns // result[i].shape[3]))
            result[i] = result[i].repeat(1, 1, *times)[:, :, :rows, :columns].contiguous()
        return tuple(result)

    def cut(self, inputs: tuple[Tensor, ...], part: Part) -> tuple[Tensor, ...]:
        """Return the inputs with each map cropped to a part."""
        result = list(inputs)
        for i, ratio in self._maps.items():
            result[i] = result[i][_place(part, ratio)].contiguous()
        return tuple(result)

    def spoilt(self, inputs: tuple[Tensor, ...], part: Part) -> tuple[Tensor, ...]:
        """Return the inputs with NaN in a part of each map."""
        result = [value.clone() for value in inputs]
        for i, ratio in self._maps.items():
            result[i][_place(part, ratio)] = float("nan")
        return tuple(result)

    def accepts(self, size: Size) -> bool:
        """Return whether the network runs at a size."""
        try:
            self._network.run(self.inputs(size))
        except Exception:  # noqa: BLE001 - a user's network may fail in any way
            return False
        return True

    def run(self, inputs: tuple[Tensor, ...]) -> list[Tensor]:
        """Return the network's outputs.

        Raises:
            CompileError: If torch cannot trace the network at this size.
        """
        if not self._weights:
            return list(self._network.run(inputs))
        path, used = self._path(inputs)
        return run_program(path, [*(inputs[i] for i in used), *self._weights])

    def _path(self, inputs: tuple[Tensor, ...]) -> tuple[ExportedProgram, list[int]]:
        """Return the program that takes the weights, and the indices of its other inputs."""
        size = (inputs[0].shape[2], inputs[0].shape[3])
        if size not in self._paths:
            free = self._network.free_sizes
            whole = self._network.traced() if free else self._network.traced(inputs)
            # The operators have the same names at every size; keep the order of the weights.
            nodes = {node.name: node for node in whole.graph.nodes}
            given = {nodes[name]: f"fixed_{i}" for i, name in enumerate(self._cut)}
            path = cut_at(whole, given=given)
            self._paths[size] = path, inputs_left(whole, path)
        return self._paths[size]


def ratio_to(value: Tensor, size: Size) -> Fraction | None:
    """Return the rows of a map per row of the first input; None if the sizes are independent."""
    if value.dim() != 4 or not value.is_floating_point() or min(value.shape[2:]) < 2:
        return None
    same = value.shape[2] * size[1] == value.shape[3] * size[0]
    return Fraction(value.shape[2], size[0]) if same else None


def _place(part: Part, ratio: Fraction) -> tuple[slice, ...]:
    """Return a part of the first input as an index into a map."""
    spans = (slice(int(span[0] * ratio), int(span[1] * ratio)) for span in part)
    return (slice(None), slice(None), *spans)
