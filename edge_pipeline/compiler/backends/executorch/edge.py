"""Lowering of a program to an ExecuTorch delegate, and the check that it is delegated."""

from __future__ import annotations

import importlib
import logging
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import fx
from torch.export import ExportedProgram

from edge_pipeline.artifact.manifest import Delegation
from edge_pipeline.compiler.analysis.alone import conversion_error
from edge_pipeline.compiler.backends.executorch.delegates import Delegate, delegation_of
from edge_pipeline.compiler.backends.executorch.retracing import brief
from edge_pipeline.compiler.quiet import untraced_errors
from edge_pipeline.compiler.rebuilding import Parts, rebuilt
from edge_pipeline.errors import CompileError, MissingExtraError, first_line
from edge_pipeline.optional import require as require_module

__all__ = [
    "CONSTANTS",
    "Delegate",
    "Lowered",
    "lower",
    "require",
    "require_part",
    "together",
    "write",
]

# A part of torch's message.
_CYCLE = "found dependency cycles"
_CYCLE_TEXT = (
    "XNNPACK's partitioner cannot separate int8 operators from those that compute weights, since "
    "they depend on each other; give --filters folded or --precision fp16"
)

# The tag of constants that are stored outside the program, and the stem of their file.
CONSTANTS = "constants"

# Exceptions that the lowering raises for any kind of failure.
_FAILURES = (RuntimeError, ValueError, TypeError, KeyError, IndexError, AssertionError)


@dataclass(frozen=True)
class Lowered:
    """A program after the lowering.

    Attributes:
        manager: ExecuTorch's `EdgeProgramManager`.
        delegation: Operators inside and outside the delegate, without their share of time.
    """

    manager: Any
    delegation: Delegation


def require() -> dict[str, str]:
    """Return the versions of ExecuTorch and torch.

    Raises:
        MissingExtraError: If ExecuTorch is not installed.
    """
    # torchao, a dependency, registers an enum in a way about which torch logs a warning.
    logging.getLogger("torch.utils._pytree").setLevel(logging.ERROR)
    require_module("executorch.exir", "executorch", "compiling for ExecuTorch")
    return {"executorch": version("executorch"), "torch": version("torch")}


def require_part(module: str, title: str) -> None:
    """Import a part of ExecuTorch that some wheels lack.

    Args:
        module: Dotted name of the module.
        title: Name of the delegate, for the message.

    Raises:
        MissingExtraError: If the module cannot be imported.
    """
    try:
        importlib.import_module(module)
    except ImportError as error:
        raise MissingExtraError(
            f"compiling for ExecuTorch's {title} delegate requires {module}, which cannot be "
            f"imported ({error}); install a wheel of executorch that contains it"
        ) from error


def lower(
    program: ExportedProgram,
    delegate: Delegate,
    *,
    allowed: frozenset[str] = frozenset(),
    external: bool = False,
) -> Lowered:
    """Lower `program` to `delegate`, and check that the delegate accepts every operator.

    Args:
        program: Program of fixed sizes; it is not modified.
        delegate: The delegate that runs the program.
        allowed: Names of operators that may stay outside the delegate.
        external: Whether to store constants of two or more axes outside the program, with the tag
            `CONSTANTS`.

    Raises:
        DelegationError: If operators that are not in `allowed` stay outside; the message names each
            with its layer, source line, the partitioner's reason and a remedy.
        CompileError: If ExecuTorch itself fails.
    """
    passes = [_Tag(len(program.graph_signature.user_inputs))] if external else None
    with brief(), untraced_errors():
        try:
            with _refusals(delegate.loggers) as refused:
                manager = _manager(program, delegate, passes)
        except _FAILURES as error:
            if _CYCLE in str(error):
                raise CompileError(_CYCLE_TEXT) from error
            raise conversion_error(
                program, lambda one: _manager(one, delegate, None), _FAILURES, "ExecuTorch"
            ) from error
    module = manager.exported_program().graph_module
    return Lowered(manager, delegation_of(module, delegate, refused, allowed))


def _manager(program: ExportedProgram, delegate: Delegate, passes: list[_Tag] | None) -> Any:
    import executorch.exir as exir

    return exir.to_edge_transform_and_lower(
        _own(program),
        partitioner=[delegate.partitioner],
        transform_passes=passes,
        # This compiler checks more than ExecuTorch's own check: every operator in `lower`, and the
        # file's outputs before the artifact is written.
        compile_config=exir.EdgeCompileConfig(_check_ir_validity=False),
    )


def together(lowered: Mapping[str, Lowered]) -> Any:
    """Return an `EdgeProgramManager` with a method for each lowered program, by name.

    Raises:
        CompileError: If ExecuTorch fails.
    """
    import executorch.exir as exir

    programs = {name: one.manager.exported_program() for name, one in lowered.items()}
    config = exir.EdgeCompileConfig(_check_ir_validity=False)
    try:
        return exir.EdgeProgramManager(programs, None, config)
    except _FAILURES as error:
        raise _failure(error) from error


def write(manager: Any, name: str) -> dict[str, bytes]:
    """Return the contents of `NAME.pte` and, if constants are external, of `NAME.ptd`.

    Args:
        manager: ExecuTorch's `EdgeProgramManager`.
        name: Name of the files without their endings.

    Raises:
        CompileError: If ExecuTorch fails.
    """
    try:
        program = manager.to_executorch()
    except _FAILURES as error:
        raise _failure(error) from error
    files = {f"{name}.pte": bytes(program.buffer)}
    with tempfile.TemporaryDirectory() as folder:
        program.write_tensor_data_to_file(folder)
        written = Path(folder) / f"{CONSTANTS}.ptd"
        if written.exists():
            files[f"{name}.ptd"] = written.read_bytes()
    return files


def _failure(error: Exception) -> CompileError:
    """Return a failure of ExecuTorch as one sentence."""
    return CompileError(f"ExecuTorch cannot write the program: {first_line(error)}")


def _own(program: ExportedProgram) -> ExportedProgram:
    """Return a program with the same tensors, since ExecuTorch removes constants from its input.

    Its nodes keep the paths of their modules, for messages, without the types of the modules and
    the functions that were traced: XNNPACK's partitioner takes all nodes of one `nn.Linear` for a
    product and its bias, even if this compiler wrote others, and links them in a wrong order.
    """
    owned = rebuilt(program, Parts())
    for node in owned.graph.nodes:
        for key in ("source_fn_stack", "torch_fn"):
            node.meta.pop(key, None)
        stack = node.meta.get("nn_module_stack", {})
        node.meta["nn_module_stack"] = {key: (entry[0], "") for key, entry in stack.items()}
    return owned


class _Tag:
    """A pass that tags constants of two or more axes as external; others are small and stay."""

    def __init__(self, inputs: int) -> None:
        self._inputs = inputs

    def __call__(self, module: fx.GraphModule) -> Any:
        from torch.fx.passes.infra.pass_base import PassResult

        placeholders = [node for node in module.graph.nodes if node.op == "placeholder"]
        for node in placeholders[: len(placeholders) - self._inputs]:
            value = node.meta.get("val")
            if isinstance(value, torch.Tensor) and value.dim() > 1:
                custom = dict(node.meta.get("custom") or {})
                node.meta["custom"] = custom | {"delegate_constant_tag": CONSTANTS}
        return PassResult(graph_module=module, modified=True)


@contextmanager
def _refusals(part: str) -> Iterator[dict[str, str]]:
    """Yield the partitioner's reasons for rejecting nodes, by node name, read from its log."""
    reasons: dict[str, str] = {}

    class Gather(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            node, reason = (getattr(record.msg, key, None) for key in ("node", "reason"))
            if isinstance(node, fx.Node) and reason:
                reasons[node.name] = str(reason)

    handler = Gather(logging.DEBUG)
    loggers = [logging.getLogger(n) for n in logging.root.manager.loggerDict if part in n]
    before = [(logger.level, logger.propagate) for logger in loggers]
    for logger in loggers:
        logger.addHandler(handler)
        logger.setLevel(logging.DEBUG)
        logger.propagate = False  # debug messages would fill the terminal
    try:
        yield reasons
    finally:
        for logger, (level, propagate) in zip(loggers, before, strict=True):
            logger.removeHandler(handler)
            logger.setLevel(level)
            logger.propagate = propagate
