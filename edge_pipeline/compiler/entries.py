"""The programs that each form of deployment consists of, ready to be exported."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from edge_pipeline.artifact.manifest import ProgramName
from edge_pipeline.errors import CompileError, InputError
from edge_pipeline.raw.windows import WINDOW

__all__ = [
    "Entry",
    "FilterNetwork",
    "Form",
    "Geometry",
    "as_filter_network",
    "entries",
    "export",
]

Form = Literal["dynamic", "folded", "split"]

# The widest picture side that a free size allows, in packed pixels.
_WIDEST = 1 << 16


class FilterNetwork(Protocol):
    """A network whose filters can be had apart from their use."""

    def predict_filters(self, x: Tensor) -> dict[str, Tensor]:
        """The filters by name, for a packed capture."""
        ...

    def apply_filters(self, x: Tensor, filters: Mapping[str, Tensor]) -> Tensor:
        """RGB from a packed capture and its filters."""
        ...


@dataclass(frozen=True)
class Geometry:
    """The sizes that a network takes.

    Attributes:
        channels: of the packed capture.
        stride: height and width are multiples of it.
        minimum: and at least this.
        scale: output pixels per packed pixel along an axis.
        halo: how far an output pixel sees, in packed pixels; None where there is no limit.
    """

    channels: int
    stride: int
    minimum: int
    scale: int
    halo: int | None

    @classmethod
    def of(cls, model: nn.Module) -> Geometry:
        """What the network says of itself."""
        return cls(
            channels=int(getattr(getattr(model, "options", None), "in_channels", 4)),
            stride=int(getattr(model, "stride", 1)),
            minimum=int(getattr(model, "min_size", 1)),
            scale=int(getattr(model, "scale", 1)),
            halo=getattr(model, "halo", None),
        )

    def check(self, height: int, width: int) -> None:
        """Refuse a size that the network cannot take.

        Raises:
            InputError: a side is no multiple of the stride, or below the minimum.
        """
        for side in (height, width):
            if side % self.stride or side < self.minimum:
                raise InputError(
                    f"the input {height}x{width} has a side of {side} packed pixels; the network "
                    f"takes multiples of {self.stride} from {self.minimum}"
                )


@dataclass(frozen=True)
class Entry:
    """A program to be: a module with an example, and names for what goes in and out.

    Attributes:
        name: as in the manifest.
        module: takes the example's parts in order and gives a tuple of tensors.
        example: the packed capture first, then filters if it takes any.
        inputs: a name for each part of the example.
        outputs: a name for each tensor it gives.
    """

    name: ProgramName
    module: nn.Module
    example: tuple[Tensor, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


class _Forward(nn.Module):
    """The whole network."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, packed: Tensor, filters: list[Tensor]) -> tuple[Tensor, ...]:
        """`filters` is empty."""
        return (self.network(packed),)


class _Predict(nn.Module):
    """The filters alone, in the network's order."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, packed: Tensor, filters: list[Tensor]) -> tuple[Tensor, ...]:
        """`filters` is empty."""
        return tuple(as_filter_network(self.network).predict_filters(packed).values())


class _Apply(nn.Module):
    """The path alone, its filters given at run time."""

    def __init__(self, network: nn.Module, names: tuple[str, ...]) -> None:
        super().__init__()
        self.network = network
        self.names = names

    def forward(self, packed: Tensor, filters: list[Tensor]) -> tuple[Tensor, ...]:
        """One filter a name, in order."""
        named = dict(zip(self.names, filters, strict=True))
        return (as_filter_network(self.network).apply_filters(packed, named),)


class _Folded(nn.Module):
    """The path alone, its filters constant."""

    def __init__(self, network: nn.Module, filters: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.network = network
        self.names = tuple(filters)
        for i, value in enumerate(filters.values()):
            self.register_buffer(f"filter_{i}", value)

    def forward(self, packed: Tensor, filters: list[Tensor]) -> tuple[Tensor, ...]:
        """`filters` is empty."""
        held = {name: self.get_buffer(f"filter_{i}") for i, name in enumerate(self.names)}
        return (as_filter_network(self.network).apply_filters(packed, held),)


def as_filter_network(model: nn.Module) -> FilterNetwork:
    """`model`, known to have predict_filters and apply_filters.

    Raises:
        InputError: it has not.
    """
    network: Any = model
    if not (hasattr(network, "predict_filters") and hasattr(network, "apply_filters")):
        raise InputError(
            f"{type(model).__name__} predicts no filters; compile it with --filters dynamic"
        )
    found: FilterNetwork = network
    return found


def entries(
    model: nn.Module, form: Form, packed: Tensor, folded: Mapping[str, Tensor] | None = None
) -> list[Entry]:
    """The programs of a form.

    Args:
        model: in eval mode.
        form: `dynamic`, `folded` or `split`.
        packed: [1, channels, H, W], the example; of a split network's it is the path's, and
            predict_filters has the first window of it.
        folded: for `folded`, the filters by name.

    Raises:
        InputError: `form` needs filters, and the network predicts none.
    """
    if form == "dynamic":
        return [Entry("forward", _Forward(model), (packed,), ("packed",), ("rgb",))]
    network = as_filter_network(model)
    seen = packed[:, :, :WINDOW, :WINDOW].contiguous()
    with torch.no_grad():
        predicted = network.predict_filters(seen) if folded is None else folded
    if not predicted:
        raise InputError(
            f"{type(model).__name__} with these options predicts no filters; "
            "compile it with --filters dynamic"
        )
    if form == "folded":
        module = _Folded(model, predicted)
        return [Entry("forward", module, (packed,), ("packed",), ("rgb",))]
    names = tuple(predicted)
    given = (packed, *predicted.values())
    return [
        Entry("predict_filters", _Predict(model), (seen,), ("packed",), names),
        Entry("apply_filters", _Apply(model, names), given, ("packed", *names), ("rgb",)),
    ]


def export(entry: Entry, geometry: Geometry, *, free_sizes: bool) -> ExportedProgram:
    """Trace an entry into a functional program of ATen operators.

    Args:
        entry: the example is on the CPU.
        geometry: the sizes that the network takes.
        free_sizes: leave height and width open, as multiples of the stride.

    Raises:
        CompileError: torch cannot trace the network.
    """
    packed, *filters = entry.example
    shapes: Any = None
    if free_sizes:
        stride = geometry.stride
        least, most = max(1, -(-geometry.minimum // stride)), _WIDEST // stride
        rows, columns = Dim("h", min=least, max=most), Dim("w", min=least, max=most)
        shapes = {
            "packed": {2: stride * rows, 3: stride * columns},
            "filters": [None] * len(filters),
        }
    try:
        program = torch.export.export(entry.module, (packed, filters), dynamic_shapes=shapes)
        functional: ExportedProgram = program.run_decompositions({})
    except (RuntimeError, ValueError, TypeError) as error:
        first = str(error).strip().splitlines() or [type(error).__name__]
        raise CompileError(f"torch cannot trace {entry.name}: {first[0]}") from error
    return functional
