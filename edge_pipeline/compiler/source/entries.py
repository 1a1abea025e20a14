"""The programs of each deployment form, cut from the network's graph."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, fx
from torch.export import ExportedProgram

from edge_pipeline.artifact.manifest import ProgramName
from edge_pipeline.artifact.tensors import Dtype, TensorSpec
from edge_pipeline.artifact.weight_curve import WeightCurve
from edge_pipeline.compiler.analysis.computed import frontier
from edge_pipeline.compiler.analysis.cutting import cut_at, inputs_left
from edge_pipeline.compiler.analysis.exchange import constant_name
from edge_pipeline.compiler.passes.specialise import specialised_weights
from edge_pipeline.compiler.program import Editor, run_program, user_inputs
from edge_pipeline.compiler.rebuilding import Parts, rebuilt
from edge_pipeline.compiler.source.network import SourceNetwork
from edge_pipeline.compiler.source.shapes import tensors_of
from edge_pipeline.errors import CompileError, InputError
from edge_pipeline.models.network import Port
from edge_pipeline.raw.windows import VIEW

__all__ = [
    "Entry",
    "Role",
    "dynamic",
    "folded",
    "predictor",
    "split",
    "windowed",
]


@dataclass(frozen=True)
class Role:
    """The description of a tensor in the manifest, without its shape and type."""

    name: str
    layout: str
    meaning: str
    range: tuple[float, float] | None = None

    @classmethod
    def of_port(cls, port: Port, rank: int) -> Role:
        """Return the role of a network's own input or output."""
        layout = {4: "NCHW"}.get(rank, "NABCDEFG"[:rank])
        return cls(port.name, layout, port.meaning, port.range)

    @classmethod
    def of_filter(cls, name: str, rank: int) -> Role:
        """Return the role of a computed filter or bias, such as `hyper_conv0.weight`."""
        layer, _, kind = name.rpartition(".")
        weight, other = {4: "OIHW", 2: "OI", 1: "O"}, {4: "NCHW", 2: "NC", 1: "O"}
        layouts = weight if kind.startswith("weight") else other
        return cls(name, layouts.get(rank, "NABCDEFG"[:rank]), f"{kind} of {layer}")

    def spec(self, shape: tuple[int | str, ...], dtype: Dtype) -> TensorSpec:
        """Return the manifest's entry for the tensor."""
        return TensorSpec(
            name=self.name,
            shape=shape,
            dtype=dtype,
            layout=self.layout,
            range=self.range,
            meaning=self.meaning,
        )


@dataclass(frozen=True)
class Entry:
    """A traced program to build, with example inputs and the roles of its tensors.

    Attributes:
        name: Name in the manifest.
        program: Program that torch exported, or a part of it.
        example: Example inputs of the program: the network's own, then any filters.
        inputs: Role of each tensor of the example.
        outputs: Role of each tensor that the program returns.
        weights: Computed weights that become constants, by name; they may be exchanged later.
        columns: If map sizes may be changed later, the column in the table of sizes by axis of a
            map, counted from the last, and size; None for a size that never changes.
    """

    name: ProgramName
    program: ExportedProgram
    example: tuple[Tensor, ...]
    inputs: tuple[Role, ...]
    outputs: tuple[Role, ...]
    weights: Mapping[str, Tensor]
    columns: Mapping[tuple[int, int], int | None] | None = None

    def run(self, inputs: tuple[Tensor, ...] | None = None) -> tuple[Tensor, ...]:
        """Run the program eagerly on its example, or on other inputs."""
        return tuple(run_program(self.program, inputs or self.example))


def _roles(network: SourceNetwork) -> tuple[Role, ...]:
    return tuple(
        Role.of_port(port, value.dim())
        for port, value in zip(network.geometry.inputs, network.example, strict=True)
    )


def _entry(network: SourceNetwork, program: ExportedProgram, **kept: Any) -> Entry:
    """Return the program `forward`, which takes the network's inputs and returns its outputs."""
    _, returned = tensors_of(program)
    names = _output_names(network, len(returned))
    outputs = tuple(
        Role.of_port(port, value.dim()) for port, value in zip(names, returned, strict=True)
    )
    return Entry("forward", program, network.example, _roles(network), outputs, **kept)


def _output_names(network: SourceNetwork, count: int) -> tuple[Port, ...]:
    stated = network.geometry.outputs
    if len(stated) == count:
        return stated
    return tuple(Port.of_unknown(f"output_{i}") for i in range(count))


def dynamic(network: SourceNetwork, curve: WeightCurve | None = None) -> Entry:
    """Return the whole network, with its fixed values, as one program.

    Args:
        network: Network with example inputs.
        curve: Weights as functions of the fixed number; if given, the program gets the weights that
            `respecialise` would compute from it.

    Raises:
        InputError: If the network does not support its fixed values.
        CompileError: If torch cannot trace the network.
    """
    program = network.traced()
    if curve is not None:
        program = _on_curve(program, curve.at(float(str(network.fixed[curve.spec.input]))))
    return _entry(network, program, weights=specialised_weights(program) if network.fixed else {})


def _on_curve(
    program: ExportedProgram, weights: Mapping[str, NDArray[np.float32]]
) -> ExportedProgram:
    """Return the program with exactly the weights that `respecialise` would write."""
    names = {value.data_ptr(): name for name, value in specialised_weights(program).items()}
    constants = dict(program.constants)
    for key, value in program.constants.items():
        if isinstance(value, Tensor) and value.data_ptr() in names:
            constants[key] = torch.from_numpy(weights[names[value.data_ptr()]].copy())
    return rebuilt(program, Parts(constants=constants))


def windowed(value: Tensor, window: int) -> Tensor:
    """Return the part of an input that a predictor sees: the top left window of a map."""
    return value[:, :, :window, :window].contiguous() if value.dim() == 4 else value


def predictor(network: SourceNetwork, window: int = VIEW) -> Entry:
    """Return the program that computes the weights which are the same for a whole input.

    Args:
        network: Network that computes weights from its inputs.
        window: Largest side of the part of each map that the predictor sees.

    Raises:
        InputError: If the network computes no such weights.
        CompileError: If torch cannot trace the network.
    """
    seen = tuple(windowed(value, window) for value in network.example)
    whole = network.traced() if network.free_sizes else network.traced(seen)
    nodes = _frontier(network, whole)
    program = cut_at(whole, list(nodes), given={})
    used, inputs = inputs_left(whole, program), _roles(network)
    _, returned = tensors_of(program)
    outputs = tuple(
        Role.of_filter(name, value.dim())
        for name, value in zip(nodes.values(), returned, strict=True)
    )
    return Entry(
        "predict_filters",
        program,
        tuple(seen[i] for i in used),
        tuple(inputs[i] for i in used),
        outputs,
        weights={},
    )


def split(network: SourceNetwork, window: int = VIEW) -> tuple[Entry, Entry]:
    """Return the predictor of the computed weights, and the path that takes them as inputs.

    The arguments and errors are those of `predictor`.

    Raises:
        CompileError: If the shape of a weight depends on the input's size.
    """
    first = predictor(network, window)
    whole = network.traced()
    nodes = _frontier(network, whole)
    path = cut_at(whole, given={node: constant_name(name) for node, name in nodes.items()})
    predicted = first.run()
    taken = [tuple(node.meta["val"].shape) for node in nodes]
    if taken != [tuple(value.shape) for value in predicted]:
        raise CompileError(
            f"the shapes of weights that {type(network.module).__name__} computes depend on the "
            "input's size; compile it with --filters dynamic"
        )
    used, inputs = inputs_left(whole, path), _roles(network)
    second = Entry(
        "apply_filters",
        path,
        (*(network.example[i] for i in used), *predicted),
        (*(inputs[i] for i in used), *first.outputs),
        _entry(network, whole, weights={}).outputs,
        weights={},
    )
    return first, second


def _frontier(network: SourceNetwork, program: ExportedProgram) -> dict[fx.Node, str]:
    nodes = frontier(program)
    if not nodes:
        raise InputError(
            f"{type(network.module).__name__} computes no weights that a whole input shares; "
            "compile it with --filters dynamic"
        )
    return nodes


def folded(network: SourceNetwork, filters: Mapping[str, Tensor]) -> Entry:
    """Return the path with constant filters.

    Args:
        network: Network that computes weights from its inputs.
        filters: Filters by name, in the shapes that the predictor of `split` returns.

    Raises:
        InputError: If the network computes no weights that are the same for a whole input, or no
            output depends on an input once they are constants.
        CompileError: If torch cannot trace the network.
    """
    whole = network.traced()
    nodes = _frontier(network, whole)
    editor = Editor(whole)
    own = {node.name: node for node in editor.graph.nodes}
    for node, name in nodes.items():
        constant = editor.add_constant(filters[name].clone(), constant_name(name))
        editor.substitute(own[node.name], constant, "computed on the calibration set")
    program = cut_at(editor.finish().program)
    taken = user_inputs(program.graph_signature)
    if not any(node.users for node in program.graph.nodes if node.name in taken):
        raise InputError(
            "with its weights folded, nothing in the network depends on an input; give --filters "
            "dynamic"
        )
    return _entry(network, program, weights={name: filters[name] for name in nodes.values()})
