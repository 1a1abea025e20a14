"""Specialise: weights that a hypernetwork computes from phi become constants."""

from __future__ import annotations

from typing import Any

from torch import fx
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind

from edge_pipeline.compiler.analysis.folding import fold, known_values
from edge_pipeline.compiler.program import Editor, Result, layer_of
from edge_pipeline.errors import CompileError

__all__ = ["PHI_BUFFER", "Specialise"]

# The buffer of a program's module that holds phi, [1].
PHI_BUFFER = "phi"


class Specialise:
    """Compute what depends on the constant phi, and drop what computed it.

    phi [1] -> linear -> leaky_relu -> linear -> leaky_relu -> linear -> view -> conv2d(x, .)
    becomes
    constant [O, C, 3, 3] -> conv2d(x, .)

    A constant is called after the layer that takes it and the operand that it becomes. The
    hypernetwork's operators and parameters leave the program; programs without phi stay.
    """

    name = "specialise"
    why = "the hypernetwork has a hundred parameters for each one of the network that runs"

    def run(self, program: ExportedProgram) -> Result:
        """See the class.

        Raises:
            CompileError: an operator that depends on phi cannot be computed ahead of time.
        """
        editor = Editor(program)
        phi = _phi(program, editor)
        if phi is None:
            return editor.finish()
        known = known_values(editor)
        reached = _reached(phi, known)
        for node in (phi, *reached):
            _check(node, known, direct=node is phi)
        fold(editor, known, reached, _named)
        return editor.finish()


def _phi(program: ExportedProgram, editor: Editor) -> fx.Node | None:
    """The input of the graph that carries phi."""
    for spec in program.graph_signature.input_specs:
        if spec.kind is InputKind.BUFFER and spec.target == PHI_BUFFER:
            found: fx.Node = next(n for n in editor.graph.nodes if n.name == spec.arg.name)
            return found
    return None


def _reached(phi: fx.Node, known: dict[fx.Node, Any]) -> list[fx.Node]:
    """The known operators that depend on phi, in order."""
    found = {phi}
    for node in known:  # in the graph's order, so one sweep sees all
        if not found.isdisjoint(node.all_input_nodes):
            found.add(node)
    return [node for node in known if node in found and node is not phi]


def _check(node: fx.Node, known: dict[fx.Node, Any], *, direct: bool) -> None:
    """Refuse an operator that would go on depending on phi at run time."""
    for user in node.users:
        if user in known:
            continue
        what = str(user.target) if user.op == "call_function" else "the program's output"
        if direct or "rand" in what:
            raise CompileError(
                f"{layer_of(user)}: {what} depends on phi and cannot be computed ahead of time; "
                "let phi reach the maps through weights and sizes alone"
            )


def _named(node: fx.Node) -> tuple[str, str]:
    """The layer and operand that a computed tensor is for."""
    user = next(user for user in node.users if user.op != "placeholder")
    layer, operand = layer_of(user), _operand(user, node)
    name = f"{layer}.{operand}"
    clean = "".join(c if c.isalnum() else "_" for c in name)
    return clean, f"computed {name} from phi"


def _operand(user: fx.Node, node: fx.Node) -> str:
    """What `user` calls the operand that `node` is."""
    schema = getattr(user.target, "_schema", None)
    for i, argument in enumerate(user.args):
        if argument is node and schema is not None:
            return str(schema.arguments[i].name)
    return "operand"
