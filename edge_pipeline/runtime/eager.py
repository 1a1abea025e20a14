"""The original network, run by torch from the graph in its artifact.

Requires only torch: no network is built, nothing is unpickled, and no text is evaluated.
"""

from __future__ import annotations

import operator
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from edge_pipeline.artifact.graph import Graph, read_graph, references_in
from edge_pipeline.artifact.manifest import ProgramSpec
from edge_pipeline.closing import Closing
from edge_pipeline.errors import ArtifactError, RuntimeFailure, first_line
from edge_pipeline.optional import require
from edge_pipeline.runtime.base import check_inputs, check_outputs

if TYPE_CHECKING:
    import torch

__all__ = [
    "LOADS_FROM_MEMORY",
    "PACKAGE",
    "EagerSession",
    "ValueName",
    "decoded",
    "open_session",
    "operator_of",
    "preload",
    "resolved",
]

PACKAGE = "torch"
LOADS_FROM_MEMORY = True

_PURPOSE = "running the network itself"
_EXTRA = "onnx"  # the smallest extra that installs torch
_MATH: Mapping[str, Callable[..., Any]] = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "floordiv": operator.floordiv,
    "truediv": operator.truediv,
    "mod": operator.mod,
    "neg": operator.neg,
    "pow": operator.pow,
    "max": max,
    "min": min,
    "int": int,
    "float": float,
}
_LOCK = threading.RLock()


class _Step:
    """One call of the graph; `last` are the names of values that no later call uses."""

    def __init__(self, name: str, function: Callable[..., Any], args: Any, kwargs: Any) -> None:
        self.name = name
        self.function = function
        self.args = args
        self.kwargs = kwargs
        self.last: tuple[str, ...] = ()


class EagerSession(Closing):
    """A network loaded in torch; created by `open_session`."""

    def __init__(
        self,
        graph: Graph,
        weights: dict[str, torch.Tensor],
        steps: list[_Step],
        spec: ProgramSpec,
        threads: int,
    ) -> None:
        self._graph: Graph | None = graph
        self._weights = weights
        self._steps = steps
        self._spec = spec
        self._threads = threads

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Run the program; see `edge_pipeline.runtime.base.Session.run`."""
        if self._graph is None:
            raise RuntimeFailure(f"the session of {self._spec.name} is closed; open a new one")
        values, sizes = check_inputs(self._spec, inputs)
        torch = preload()
        # torch warns about read-only arrays.
        tensors = [torch.from_numpy(np.require(value, requirements=("C", "W"))) for value in values]
        with _threads(torch, self._threads), torch.inference_mode():
            known = self._weights | dict(zip(self._graph.inputs, tensors, strict=True))
            for step in self._steps:
                _run_step(step, known, self._spec)
            outputs = [known[name] for name in self._graph.outputs]
        # An output may be a view of another or of an input, so the outputs are copied.
        return check_outputs(
            self._spec, [np.array(value.numpy(), order="C") for value in outputs], sizes
        )

    def close(self) -> None:
        """Release the network and its weights."""
        self._graph, self._weights, self._steps = None, {}, []


def open_session(
    path: Path, spec: ProgramSpec, threads: int, replaced: Mapping[str, bytes] | None = None
) -> EagerSession:
    """Load the graph that `compiler/source/graph.py` wrote.

    Args:
        path: Path of the graph file.
        spec: The program compiled from it; inputs and outputs are matched by position.
        threads: Number of threads that compute one operator; operators run one after another.
        replaced: Content to use instead of the graph file, by its name in the artifact.

    Raises:
        MissingExtraError: If torch is not installed.
        ArtifactError: If the file is damaged.
        RuntimeFailure: If this version of torch lacks an operator, or if the number of inputs or
            outputs differs from the manifest's.
    """
    torch = preload()
    content = replaced.get(str(spec.graph)) if replaced else None
    graph, arrays = read_graph(path, content)
    for kind, names, tensors in (
        ("inputs", graph.inputs, spec.inputs),
        ("outputs", graph.outputs, spec.outputs),
    ):
        if len(names) != len(tensors):
            raise RuntimeFailure(
                f"{path} has {len(names)} {kind}; the manifest lists {len(tensors)}"
            )
    steps = [
        _Step(
            call.name,
            operator_of(torch, call.target, path),
            decoded(torch, call.args, path),
            {key: decoded(torch, value, path) for key, value in call.kwargs.items()},
        )
        for call in graph.calls
    ]
    _mark_last_uses(graph, steps)
    weights = {name: torch.from_numpy(value) for name, value in arrays.items()}
    return EagerSession(graph, weights, steps, spec, threads)


def preload() -> ModuleType:
    """Import and return the runtime's package, so that loading a program does not import it.

    Raises:
        MissingExtraError: If torch is not installed.
    """
    return require("torch", _EXTRA, _PURPOSE)


@contextmanager
def _threads(torch: Any, count: int) -> Iterator[None]:
    """Set torch's number of threads, which the whole process shares, for the time of a block."""
    with _LOCK:
        before = torch.get_num_threads()
        torch.set_num_threads(count)
        try:
            yield
        finally:
            torch.set_num_threads(before)


class ValueName(str):
    """Name of a value, which replaces it when a call is made; a plain `str` is an argument."""

    __slots__ = ()


def decoded(torch: Any, value: Any, path: Path, device: str = "cpu") -> Any:
    """Return an argument in the form that torch accepts, with references as `ValueName`.

    Args:
        torch: The package.
        value: Argument in the graph file.
        path: The graph file, for messages.
        device: Device of the session.

    Raises:
        ArtifactError: If the argument is invalid.
    """
    if isinstance(value, list | tuple):
        return [decoded(torch, item, path, device) for item in value]
    if not isinstance(value, dict):
        return value
    match list(value.items()):
        case [("node", str(name))]:
            return ValueName(name)
        case [("float", "inf" | "-inf" | "nan" as text)]:
            return float(text)
        case [("device", "session")]:
            return torch.device(device)
        case [("dtype" | "layout" | "memory_format" as kind, str(name))]:
            found = getattr(torch, name, None)
            if isinstance(found, getattr(torch, kind)):
                return found
    raise ArtifactError(f"{path} contains an invalid argument: {value!r:.60}")


def operator_of(torch: Any, target: str, path: Path) -> Callable[..., Any]:
    """Return the function that a call's target names.

    Raises:
        ArtifactError: If the target is not an operator that a network may call.
        RuntimeFailure: If this version of torch has no such operator.
    """
    match target.split("."):
        case ["getitem"]:
            return operator.getitem
        case ["math", name] if name in _MATH:
            return _MATH[name]
        case ["aten", name, overload] if name.isidentifier() and overload.isidentifier():
            try:
                found: Any = getattr(getattr(torch.ops.aten, name), overload)
            except AttributeError as error:
                raise RuntimeFailure(
                    f"torch {torch.__version__} has no operator {target}, which {path} calls"
                ) from error
            if isinstance(found, torch._ops.OpOverload) and _computes(found._schema):
                return cast("Callable[..., Any]", found)
    raise ArtifactError(f"{path} calls {target[:60]!r}, which is not an operator of a network")


def _computes(schema: Any) -> bool:
    """Return whether an operator is allowed in a network: ATen also has file operators."""
    return bool(schema.returns) and "filename" not in {a.name for a in schema.arguments}


def _mark_last_uses(graph: Graph, steps: list[_Step]) -> None:
    """Mark the last use of each value, so that its memory is released early."""
    kept = {*graph.outputs, *graph.weights}
    for step, call in zip(reversed(steps), reversed(graph.calls), strict=True):
        used = set(references_in([*call.args, *call.kwargs.values()])) | {call.name}
        step.last = tuple(used - kept)
        kept |= used


def _run_step(step: _Step, known: dict[str, Any], spec: ProgramSpec) -> None:
    """Make one call, and release the values that no later call uses."""
    kwargs = {key: resolved(value, known) for key, value in step.kwargs.items()}
    try:
        known[step.name] = step.function(*resolved(step.args, known), **kwargs)
    except (RuntimeError, TypeError, ValueError, IndexError, ArithmeticError) as error:
        reason = first_line(error)
        raise RuntimeFailure(f"torch could not run {step.name} of {spec.name}: {reason}") from error
    for name in step.last:
        del known[name]


def resolved(value: Any, known: Mapping[str, Any]) -> Any:
    """Return an argument with the named values in place of their names."""
    if isinstance(value, ValueName):
        return known[value]
    if isinstance(value, list):
        return [resolved(item, known) for item in value]
    return value
