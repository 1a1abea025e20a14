"""The programs that each form of deployment consists of, ready to be exported."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from edge_pipeline.artifact.manifest import ProgramName
from edge_pipeline.artifact.tensors import TensorSpec
from edge_pipeline.compiler.source.geometry import Geometry
from edge_pipeline.compiler.source.hypernetwork import exact_weights
from edge_pipeline.errors import CompileError, InputError
from edge_pipeline.models.network import FilterNetwork, PhiNetwork, Port
from edge_pipeline.raw.windows import WINDOW

__all__ = [
    "Entry",
    "Role",
    "as_filter_network",
    "dynamic",
    "export",
    "given",
    "specialised",
    "split",
]

# The widest side that a free size allows, in pixels of the first input.
_WIDEST = 1 << 16


@dataclass(frozen=True)
class Role:
    """What the manifest says of a tensor, but its shape."""

    name: str
    layout: str
    meaning: str
    range: tuple[float, float] | None = None

    @classmethod
    def of_port(cls, port: Port) -> Role:
        """A network's own input or output."""
        return cls(port.name, "NCHW", port.meaning, port.range)

    @classmethod
    def of_filter(cls, name: str, rank: int) -> Role:
        """A predicted filter or bias, such as `hyper_conv0.weight`."""
        layer, _, kind = name.rpartition(".")
        layout = {5: "NOIHW", 2: "NO"}.get(rank, "NABCDEF"[:rank])
        return cls(name, layout, f"{kind} of {layer}")

    def spec(self, shape: tuple[int | str, ...]) -> TensorSpec:
        """The manifest's entry."""
        return TensorSpec(
            name=self.name,
            shape=shape,
            layout=self.layout,
            range=self.range,
            meaning=self.meaning,
        )


@dataclass(frozen=True)
class Entry:
    """A program to be: a module with an example, and what goes in and out.

    Attributes:
        name: as in the manifest.
        module: takes the example's parts in order and gives a tuple of tensors.
        example: the network's inputs first, then filters if it takes any.
        inputs: what each part of the example is.
        outputs: what each tensor it gives is.
        weights: computed ones that become constants, by name; they may be exchanged later.
        exact: the same as `respecialise` computes them, if that differs in rounding.
    """

    name: ProgramName
    module: nn.Module
    example: tuple[Tensor, ...]
    inputs: tuple[Role, ...]
    outputs: tuple[Role, ...]
    weights: Mapping[str, Tensor]
    exact: dict[str, NDArray[np.float32]] | None = None

    def run(self, inputs: tuple[Tensor, ...] | None = None) -> tuple[Tensor, ...]:
        """What eager makes of the example, or of other inputs."""
        with torch.no_grad():
            outputs: tuple[Tensor, ...] = self.module(*(inputs or self.example))
        return outputs


class _Module(nn.Module):
    """A program's module; the network is its submodule `network`."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network


class _Forward(_Module):
    """The whole network."""

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        result = self.network(*inputs)
        return result if isinstance(result, tuple) else (result,)


class _Predict(_Module):
    """The filters alone, in the network's order."""

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        return tuple(as_filter_network(self.network).predict_filters(inputs[0]).values())


class _Apply(_Module):
    """The path alone, its filters given at run time."""

    def __init__(self, network: nn.Module, filters: tuple[str, ...]) -> None:
        super().__init__(network)
        self.filters = filters

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        named = dict(zip(self.filters, inputs[1:], strict=True))
        return (as_filter_network(self.network).apply_filters(inputs[0], named),)


class _Folded(_Module):
    """The path alone, its filters constant."""

    def __init__(self, network: nn.Module, filters: Mapping[str, Tensor]) -> None:
        super().__init__(network)
        self.names = tuple(filters)
        for i, value in enumerate(filters.values()):
            self.register_buffer(f"filter_{i}", value)

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        held = {name: self.get_buffer(f"filter_{i}") for i, name in enumerate(self.names)}
        return (as_filter_network(self.network).apply_filters(inputs[0], held),)


class _AtPhi(_Module):
    """The hypernetwork at one phi, and the network with the weights it gives."""

    def __init__(self, network: nn.Module, phi: float) -> None:
        super().__init__(network)
        self.at = phi
        self.register_buffer("phi", torch.tensor([phi]))

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        network: Any = self.network
        weights = network.predict_weights(self.phi)
        return (network.apply_weights(inputs[0], self.at, weights),)


def as_filter_network(model: nn.Module) -> FilterNetwork:
    """`model`, known to have predict_filters and apply_filters.

    Raises:
        InputError: it has not.
    """
    if not isinstance(model, FilterNetwork):
        raise InputError(
            f"{type(model).__name__} predicts no filters; compile it with --filters dynamic"
        )
    return model


def _roles(model: nn.Module) -> tuple[tuple[Role, ...], tuple[Role, ...]]:
    geometry = Geometry.of(model)
    return (
        tuple(map(Role.of_port, geometry.inputs)),
        tuple(map(Role.of_port, geometry.outputs)),
    )


def dynamic(model: nn.Module, example: tuple[Tensor, ...]) -> Entry:
    """The whole network as it stands.

    Raises:
        InputError: its weights depend on phi, which has to be given.
    """
    if isinstance(model, PhiNetwork):
        low, high = model.phi_range
        raise InputError(
            f"the weights of {type(model).__name__} depend on phi; give --phi from {low:g} to "
            f"{high:g}"
        )
    return Entry("forward", _Forward(model), example, *_roles(model), weights={})


def given(model: nn.Module, example: tuple[Tensor, ...], filters: Mapping[str, Tensor]) -> Entry:
    """The path with its filters as constants.

    Args:
        model: predicts filters.
        example: the network's input.
        filters: by name, each [1, ...].

    Raises:
        InputError: the network predicts no filters.
    """
    as_filter_network(model)
    _check_any(model, filters)
    return Entry("forward", _Folded(model, filters), example, *_roles(model), weights=filters)


def split(
    model: nn.Module, example: tuple[Tensor, ...], window: int = WINDOW
) -> tuple[Entry, Entry]:
    """The predictor, and the path that takes its filters at run time.

    Args:
        model: predicts filters.
        example: the path's; the predictor has the first window of it.
        window: side of what the predictor sees at most, in pixels of the input.

    Raises:
        InputError: the network predicts no filters.
    """
    (x,) = example
    seen = x[:, :, :window, :window].contiguous()
    with torch.no_grad():
        predicted = as_filter_network(model).predict_filters(seen)
    _check_any(model, predicted)
    filters = tuple(Role.of_filter(name, value.dim()) for name, value in predicted.items())
    inputs, outputs = _roles(model)
    path = _Apply(model, tuple(predicted))
    return (
        Entry("predict_filters", _Predict(model), (seen,), inputs, filters, weights={}),
        Entry(
            "apply_filters", path, (x, *predicted.values()), inputs + filters, outputs, weights={}
        ),
    )


def specialised(model: nn.Module, example: tuple[Tensor, ...], phi: float) -> Entry:
    """The network at one phi with its hypernetwork, which the pass `specialise` takes away.

    Raises:
        InputError: the network takes no phi, or was not trained at this one.
    """
    if not isinstance(model, PhiNetwork):
        raise InputError(f"{type(model).__name__} takes no phi; leave out --phi {phi:g}")
    low, high = model.phi_range
    if not low <= phi <= high:
        raise InputError(f"phi {phi:g} is out of the trained range; give {low:g} to {high:g}")
    module = _AtPhi(model, phi)
    with torch.no_grad():
        predicted = model.predict_weights(torch.tensor([phi]))
    # Without a hypernetwork they are the network's own parameters.
    weights = {name: weight.detach() for name, weight in predicted.items()}
    exact = exact_weights(model, phi)
    return Entry("forward", module, example, *_roles(model), weights=weights, exact=exact)


def _check_any(model: nn.Module, filters: Mapping[str, Tensor]) -> None:
    if not filters:
        raise InputError(
            f"{type(model).__name__} with these options predicts no filters; "
            "compile it with --filters dynamic"
        )


def export(entry: Entry, geometry: Geometry, *, free_sizes: bool) -> ExportedProgram:
    """Trace an entry into a functional program of ATen operators.

    Args:
        entry: the example is on the CPU.
        geometry: the sizes that the network takes.
        free_sizes: leave height and width open, as multiples of the stride.

    Raises:
        CompileError: torch cannot trace the network.
    """
    shapes = _free_shapes(entry, geometry) if free_sizes else None
    try:
        program = torch.export.export(entry.module, entry.example, dynamic_shapes=shapes)
        functional: ExportedProgram = program.run_decompositions({})
    except (RuntimeError, ValueError, TypeError) as error:
        first = str(error).strip().splitlines() or [type(error).__name__]
        raise CompileError(f"torch cannot trace {entry.name}: {first[0]}") from error
    return functional


def _free_shapes(entry: Entry, geometry: Geometry) -> tuple[tuple[Any, ...]]:
    """Which sizes are free: those of the network's own inputs, none of a filter's."""
    stride = geometry.stride
    least, most = max(1, -(-geometry.minimum // stride)), _WIDEST // stride
    rows, columns = Dim("h", min=least, max=most), Dim("w", min=least, max=most)
    steps = [stride * port.times // port.per for port in geometry.inputs]
    free: list[Any] = [{2: step * rows, 3: step * columns} for step in steps]
    free += [None] * (len(entry.example) - len(free))
    return (tuple(free),)
