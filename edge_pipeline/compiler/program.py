"""Programs, passes, and the editing that passes share.

A program is an `ExportedProgram`: a flat graph of ATen operators, with parameters, buffers and
constants lifted to inputs of the graph. A pass takes one and gives one back; it never changes the
one that it was given.
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
from edge_pipeline.compiler.rebuilding import Parts, copied_graph, rebuilt
from edge_pipeline.errors import CompileError

__all__ = [
    "NETWORK",
    "Editor",
    "Pass",
    "Result",
    "approximation_of",
    "arguments_of",
    "constants_of",
    "is_check",
    "layer_of",
    "run_program",
    "user_inputs",
    "value_of",
]

_TRACED_META = ("nn_module_stack", "stack_trace")
_CHECKS = ("_assert", "sym_constrain_range")


@dataclass(frozen=True)
class Result:
    """What a pass gives back.

    Attributes:
        program: the one it was given where nothing changed.
        modified: whether anything did.
        notes: a line for each place that was changed, and for each that was looked at and left,
            with the reason; the source layer is named.
    """

    program: ExportedProgram
    modified: bool
    notes: tuple[str, ...] = ()


class Pass(Protocol):
    """One rewriting of a program, one subject; running it a second time changes nothing.

    Attributes:
        name: as in the manifest and in messages.
        why: the reason for the rewriting, a clause.
        approximation: of the passes that compute something slightly different, and of no others:
            the largest error of an output relative to its largest magnitude; see
            `approximation_of`. Their notes are shown to the user.
    """

    name: str
    why: str

    def run(self, program: ExportedProgram) -> Result:
        """Rewrite `program` into a new one.

        Raises:
            CompileError: it is one that the pass has to change and cannot; the layer is named.
        """
        ...


def approximation_of(step: Pass) -> float:
    """The largest relative error that a pass may make; 0 if it computes the same function."""
    return float(getattr(step, "approximation", 0.0))


def value_of(node: fx.Node) -> Tensor:
    """The shape-only tensor that stands for what `node` computes.

    Raises:
        CompileError: it computes something else than one tensor.
    """
    value = node.meta["val"]
    if not isinstance(value, Tensor):
        raise CompileError(
            f"{layer_of(node)}: {node.name} gives {type(value).__name__}, and a tensor is required"
        )
    return value


def constants_of(program: ExportedProgram) -> dict[str, Tensor]:
    """Parameters, buffers and constants by the name of the graph's input that carries them."""
    found: dict[str, Tensor] = {}
    for spec in program.graph_signature.input_specs:
        if spec.kind is InputKind.USER_INPUT or spec.target is None:
            continue
        # A buffer that is not persistent lies among the constants.
        held = program.state_dict.get(spec.target, program.constants.get(spec.target))
        if isinstance(held, Tensor):
            found[spec.arg.name] = held.detach()
    return found


def user_inputs(signature: ExportGraphSignature) -> list[str]:
    """The names of the graph's inputs that carry the user's, in order."""
    return [s.arg.name for s in signature.input_specs if s.kind is InputKind.USER_INPUT]


def is_check(node: fx.Node) -> bool:
    """Whether an operator only checks a value, or states what sizes a value may have."""
    return node.op == "call_function" and any(word in str(node.target) for word in _CHECKS)


def arguments_of(program: ExportedProgram, inputs: Sequence[Tensor]) -> list[Tensor]:
    """What the graph takes, in order: constants where it has them, and the user's inputs."""
    constants = constants_of(program)
    given = iter(inputs)
    return [
        constants[spec.arg.name] if spec.arg.name in constants else next(given)
        for spec in program.graph_signature.input_specs
    ]


def run_program(program: ExportedProgram, inputs: Sequence[Tensor]) -> list[Tensor]:
    """What `program` computes, eagerly; the outputs in order.

    Args:
        program: its user inputs are tensors.
        inputs: one for each of them, in order.
    """
    with torch.no_grad():
        outputs = fx.Interpreter(program.graph_module).run(*arguments_of(program, inputs))
    return [value for value in pytree.tree_leaves(outputs) if isinstance(value, Tensor)]


class Editor:
    """A copy of a program that can be changed, then sealed into a new one.

    Args:
        program: it stays as it is.
    """

    def __init__(self, program: ExportedProgram) -> None:
        self._program = program
        graph = copied_graph(program)
        self._module = fx.GraphModule(program.graph_module, graph)
        self._module.meta.update(program.graph_module.meta)
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
        """The nodes that call one of `targets`, in order; the graph may change meanwhile."""
        for node in list(self.graph.nodes):
            if node.op == "call_function" and node.target in targets and not node._erased:
                yield node

    def constant(self, argument: Any) -> Tensor | None:
        """The tensor that a node stands for if it is a parameter, buffer or constant."""
        return self.constants.get(argument.name) if isinstance(argument, fx.Node) else None

    def add_constant(self, value: Tensor, name: str) -> fx.Node:
        """A new constant; give it a meaningful `name`, which is made unique.

        Args:
            value: contiguous, on the CPU.
            name: letters, digits and underscores.
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
        """Put what `function` does with `operands` in the place of `node`.

        The function is traced on shapes, so it is an ordinary torch function which can be tested
        as one. What it traces to keeps the source layer of `node`.

        Args:
            node: gives a tensor of the shape and type that `function` gives.
            function: takes as many tensors as there are operands.
            operands: nodes that come before `node`.
            note: what was done, without the layer's name.

        Raises:
            CompileError: `function` gives another shape, or cannot be traced into plain calls.
        """
        values = [value_of(operand) for operand in operands]
        mode = detect_fake_mode(values)
        if mode is None:
            raise CompileError(f"{node.name} has no shape-only values to trace with")
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
                    raise CompileError(f"the rewriting of {layer_of(node)} made a {inner.op} node")
        if value_of(result).shape != value_of(node).shape:
            raise CompileError(
                f"the rewriting of {layer_of(node)} gives {tuple(value_of(result).shape)} "
                f"in place of {tuple(value_of(node).shape)}"
            )
        self.substitute(node, result, note)

    def _copied(self, inner: fx.Node, mapping: dict[fx.Node, Any], origin: fx.Node) -> fx.Node:
        copied = self.graph.node_copy(inner, lambda n: mapping[n])
        copied.meta = {k: origin.meta[k] for k in _TRACED_META if k in origin.meta}
        copied.meta["val"] = inner.meta["val"]
        return copied

    def substitute(self, node: fx.Node, other: fx.Node, note: str) -> None:
        """Let `other`, which computes the same, stand in the place of `node`; `note` says so."""
        self.notes.append(f"{layer_of(node)}: {note}")
        node.replace_all_uses_with(other)
        for spec in self._signature.output_specs:
            if spec.arg.name == node.name:
                spec.arg = TensorArgument(other.name)
        if not node.users:
            self.graph.erase_node(node)
        self.modified = True

    def _drop_unused(self) -> None:
        """Remove what nothing uses: operators, and the constants that only they used."""
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
        """Remove what is no longer used, check the graph, and give the new program."""
        before = len(self.graph.nodes)
        self._drop_unused()
        self.modified = self.modified or len(self.graph.nodes) != before
        if not self.modified:
            return Result(self._program, modified=False, notes=tuple(self.notes))
        self.graph.lint()
        self._module.recompile()
        parts = Parts(self._module, self._signature, self._state, self._constants)
        return Result(rebuilt(self._program, parts), modified=True, notes=tuple(self.notes))
