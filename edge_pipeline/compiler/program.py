"""Programs, passes, and the editor that passes share.

A program is an `ExportedProgram`: a flat graph of ATen operators, with parameters, buffers and
constants lifted to inputs of the graph. A pass takes a program and returns another one; it never
changes its argument.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, fx
from torch._guards import detect_fake_mode
from torch.export import ExportedProgram
from torch.export.graph_signature import (
    ExportGraphSignature,
    InputKind,
    InputSpec,
    TensorArgument,
)
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils import _pytree as pytree

from edge_pipeline.compiler.analysis.origin import NETWORK, layer_of
from edge_pipeline.compiler.rebuilding import Parts, copied_module, keep_spare, rebuilt
from edge_pipeline.errors import CompileError

__all__ = [
    "NETWORK",
    "Editor",
    "Pass",
    "Result",
    "approximation_of",
    "arguments_of",
    "constants_of",
    "layer_of",
    "run_program",
    "user_inputs",
    "value_of",
]

_TRACED_META = ("nn_module_stack", "stack_trace")


@dataclass(frozen=True)
class Result:
    """The result of a pass.

    Attributes:
        program: The new program, or the given one if nothing changed.
        modified: Whether the program changed.
        notes: One line for each place that was changed, or considered and left unchanged, with the
            source layer and the reason.
    """

    program: ExportedProgram
    modified: bool
    notes: tuple[str, ...] = ()


class Pass(Protocol):
    """A rewriting of programs for one purpose; running it a second time changes nothing.

    Attributes:
        name: Name in the manifest and in messages.
        why: Reason for the rewriting, a clause.
        approximation: Largest error of an output relative to its largest magnitude. Only passes
            that change the computed function have this attribute; see `approximation_of`. Their
            notes are shown to the user.
    """

    name: str
    why: str

    def run(self, program: ExportedProgram) -> Result:
        """Rewrite `program` into a new one.

        Raises:
            CompileError: If the pass must change a layer and cannot; the layer is named.
        """
        ...


def approximation_of(step: Pass) -> float:
    """Return the largest relative error of a pass; 0 if it computes the same function."""
    return float(getattr(step, "approximation", 0.0))


def value_of(node: fx.Node) -> Tensor:
    """Return the shape-only (fake) tensor of the value that `node` computes.

    Raises:
        CompileError: If the value is not one tensor.
    """
    value = node.meta["val"]
    if not isinstance(value, Tensor):
        raise CompileError(
            f"{layer_of(node)}: {node.name} returned {type(value).__name__}; expected a tensor"
        )
    return value


def constants_of(program: ExportedProgram) -> dict[str, Tensor]:
    """Return parameters, buffers and constants by the name of the graph input that holds them."""
    found: dict[str, Tensor] = {}
    for spec in program.graph_signature.input_specs:
        if spec.kind is InputKind.USER_INPUT or spec.target is None:
            continue
        # A buffer that is not persistent is stored in the constants.
        held = program.state_dict.get(spec.target, program.constants.get(spec.target))
        if isinstance(held, Tensor):
            found[spec.arg.name] = held.detach()
    return found


def user_inputs(signature: ExportGraphSignature) -> list[str]:
    """Return the names of the graph inputs that are user inputs, in order."""
    return [s.arg.name for s in signature.input_specs if s.kind is InputKind.USER_INPUT]


def arguments_of(program: ExportedProgram, inputs: Sequence[Tensor]) -> list[Tensor]:
    """Return the arguments of the graph in order: its constants and the user's inputs."""
    constants = constants_of(program)
    given = iter(inputs)
    return [
        constants[spec.arg.name] if spec.arg.name in constants else next(given)
        for spec in program.graph_signature.input_specs
    ]


def run_program(program: ExportedProgram, inputs: Sequence[Tensor]) -> list[Tensor]:
    """Run `program` eagerly and return its outputs in order.

    Args:
        program: Program whose user inputs are tensors.
        inputs: One tensor for each user input, in order.
    """
    with torch.no_grad():
        outputs = fx.Interpreter(program.graph_module).run(*arguments_of(program, inputs))
    return [value for value in pytree.tree_leaves(outputs) if isinstance(value, Tensor)]


class Editor:
    """An editable copy of a program, from which `finish` makes a new program.

    Args:
        program: Program to copy; it is not changed.
    """

    def __init__(self, program: ExportedProgram) -> None:
        self._program = program
        self._module = copied_module(program)
        self._signature = copy.deepcopy(program.graph_signature)
        self._state: dict[str, Any] = dict(program.state_dict)
        self._constants: dict[str, Any] = dict(program.constants)
        self.constants = constants_of(program)
        self.notes: list[str] = []
        self.modified = False

    @property
    def graph(self) -> fx.Graph:
        """The graph to change."""
        return self._module.graph

    def calls(self, *targets: Any) -> Iterator[fx.Node]:
        """Yield the nodes that call one of `targets`, in order; the graph may change meanwhile."""
        for node in list(self.graph.nodes):
            if node.op == "call_function" and node.target in targets and not node._erased:
                yield node

    def constant(self, argument: Any) -> Tensor | None:
        """Return the value of a node that is a parameter, buffer or constant; None for others."""
        return self.constants.get(argument.name) if isinstance(argument, fx.Node) else None

    def add_constant(self, value: Tensor, name: str) -> fx.Node:
        """Add a constant to the program and return its node.

        Args:
            value: Contiguous tensor on the CPU.
            name: Meaningful name of letters, digits and underscores; it is made unique.
        """
        placeholders = [n for n in self.graph.nodes if n.op == "placeholder"]
        taken = {n.name for n in self.graph.nodes}
        unique = next(
            candidate
            for candidate in (f"c_{name}" + (f"_{i}" if i else "") for i in range(len(taken) + 1))
            if candidate not in taken
        )
        with self.graph.inserting_before(placeholders[0]):
            node = self.graph.placeholder(unique)
        mode = detect_fake_mode([n.meta.get("val") for n in placeholders])
        value = value.detach().contiguous()
        node.meta["val"] = mode.from_tensor(value, static_shapes=True) if mode else value
        spec = InputSpec(InputKind.CONSTANT_TENSOR, TensorArgument(node.name), node.name, None)
        self._signature.input_specs.insert(0, spec)
        self._constants[node.name] = value
        self.constants[node.name] = value
        return node

    def replace(
        self,
        node: fx.Node,
        function: Callable[..., Tensor],
        operands: Sequence[fx.Node],
        note: str,
    ) -> None:
        """Replace `node` by the operators that `function` calls on `operands`.

        The function is traced with fake tensors, so it is an ordinary torch function that can be
        tested as one. The new operators keep the source layer of `node`.

        Args:
            node: Node to replace; its shape and type must be those of the function's result.
            function: Function of as many tensors as there are operands.
            operands: Nodes that come before `node`.
            note: Note about the change, without the layer's name.

        Raises:
            CompileError: If `function` returns another shape, or cannot be traced into plain calls.
        """
        values = [value_of(operand) for operand in operands]
        mode = detect_fake_mode(values)
        if mode is None:
            raise CompileError(f"the operands of {node.name} have no fake values to trace with")
        with mode, torch.no_grad():
            # Before dispatch, so that conv2d and max_pool2d stay whole.
            traced = make_fx(lambda *given: function(*given), pre_dispatch=True)(*values)
        mapping: dict[fx.Node, Any] = {}
        operand = iter(operands)
        with self.graph.inserting_before(node):
            for inner in traced.graph.nodes:
                if inner.op == "placeholder":
                    mapping[inner] = next(operand)
                elif inner.op == "call_function":
                    mapping[inner] = self._copied(inner, mapping, node)
                elif inner.op == "output":
                    result = mapping[inner.args[0]]
                else:
                    raise CompileError(f"the rewriting of {layer_of(node)} calls a {inner.op} node")
        if value_of(result).shape != value_of(node).shape:
            raise CompileError(
                f"the rewriting of {layer_of(node)} returned the shape "
                f"{tuple(value_of(result).shape)}; expected {tuple(value_of(node).shape)}"
            )
        self.substitute(node, result, note)

    def _copied(self, inner: fx.Node, mapping: dict[fx.Node, Any], origin: fx.Node) -> fx.Node:
        copied = self.graph.node_copy(inner, lambda n: mapping[n])
        copied.meta = {k: origin.meta[k] for k in _TRACED_META if k in origin.meta}
        copied.meta["val"] = inner.meta["val"]
        return copied

    def substitute(self, node: fx.Node, other: fx.Node, note: str) -> None:
        """Replace `node` by `other`, which has the same value; `note` describes the change."""
        self.notes.append(f"{layer_of(node)}: {note}")
        node.replace_all_uses_with(other)
        for spec in self._signature.output_specs:
            if spec.arg.name == node.name:
                spec.arg = TensorArgument(other.name)
        if not node.users:
            self.graph.erase_node(node)
        self.modified = True

    def copy_output(self, place: int) -> None:
        """Return a copy of the output at `place` instead of the tensor itself."""
        output = self.graph.output_node()
        returned: list[Any] = list(output.args[0])  # type: ignore[arg-type] # a tuple
        node = returned[place]
        with self.graph.inserting_before(output):
            copied = self.graph.call_function(torch.ops.aten.clone.default, (node,))
        copied.meta = {k: v for k, v in node.meta.items() if k in (*_TRACED_META, "val")}
        returned[place] = copied
        output.args = (tuple(returned),)
        self._signature.output_specs[place].arg = TensorArgument(copied.name)
        self.notes.append(f"output {place} is a copy of {node.name}")
        self.modified = True

    def _drop_unused(self) -> None:
        """Remove unused operators, and the constants that only they use."""
        self.graph.eliminate_dead_code()
        unused = {
            n.name
            for n in self.graph.nodes
            if n.op == "placeholder" and not n.users and n.name in self.constants
        }
        for node in list(self.graph.nodes):
            if node.name in unused:
                self.graph.erase_node(node)
        gone = [s for s in self._signature.input_specs if s.arg.name in unused]
        kept = [s for s in self._signature.input_specs if s.arg.name not in unused]
        self._signature.input_specs[:] = kept
        for target in {s.target for s in gone} - {s.target for s in kept}:
            self._state.pop(target, None)
            self._constants.pop(target, None)

    def finish(self) -> Result:
        """Remove unused nodes, check the graph, and return the new program."""
        before = len(self.graph.nodes)
        self._drop_unused()
        self.modified = self.modified or len(self.graph.nodes) != before
        if not self.modified:
            keep_spare(self._program, self._module)
            return Result(self._program, modified=False, notes=tuple(self.notes))
        self.graph.lint()
        self._module.recompile()
        parts = Parts(self._module, self._signature, self._state, self._constants)
        return Result(rebuilt(self._program, parts), modified=True, notes=tuple(self.notes))
