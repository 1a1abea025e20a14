"""Nested inputs and outputs of networks: dictionaries, lists, tuples and data classes of tensors.

Programs take and return tensors in order. Each has a name: the names and places on its path, joined
by dots, such as `batch.image` for `batch["image"]`.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from torch import Tensor

from edge_pipeline.errors import InputError

__all__ = ["flat_inputs", "flat_outputs", "nested", "rebuilt_inputs"]

_Path = tuple[str | int, ...]


def flat_inputs(inputs: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return the tensors of nested inputs by their dotted names, in order.

    Args:
        inputs: Tensors, or dictionaries, lists and tuples of them, by parameter.

    Raises:
        InputError: If a value is no tensor.
    """
    found = {}
    for path, value in _leaves(inputs, ()):
        name = ".".join(map(str, path))
        if not isinstance(value, Tensor):
            raise InputError(
                f"the input {name} is {value!r}; give a tensor, or fix the value with --fix"
            )
        found[name] = value
    return found


def rebuilt_inputs(structure: Any, values: Iterator[Tensor]) -> Any:
    """Return containers like those of `structure`, with other tensors in the same order."""
    if isinstance(structure, Mapping):
        return {key: rebuilt_inputs(value, values) for key, value in structure.items()}
    if isinstance(structure, list | tuple):
        parts = [rebuilt_inputs(value, values) for value in structure]
        if hasattr(structure, "_fields"):
            return type(structure)(*parts)
        return parts if isinstance(structure, list) else tuple(parts)
    return next(values)


def nested(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Return values with dotted names as dictionaries; names 0, 1, ... of a level form a list.

    Raises:
        InputError: If a name is that of a tensor and of its container.
    """
    grouped: dict[str, Any] = {}
    for name, value in flat.items():
        if inside := next((other for other in flat if other.startswith(f"{name}.")), None):
            raise InputError(f"the input {name} is given, and {inside} inside it; give one of them")
        first, _, rest = name.partition(".")
        if rest:
            grouped.setdefault(first, {})[rest] = value
        else:
            grouped[first] = value
    return {name: _inner(value) for name, value in grouped.items()}


def flat_outputs(result: Any, inputs: Sequence[str] = ()) -> dict[str, Tensor]:
    """Return the tensors of a network's result by name, in order, without those that are None.

    A tensor that only places lead to is `output_` and its number among the tensors. A name that is
    that of an input, or begins with a digit, gets the same prefix.

    Args:
        result: A tensor, or dictionaries, lists, tuples and data classes of tensors.
        inputs: Names of the inputs.

    Raises:
        InputError: If a value is no tensor, or there are none.
    """
    found: dict[str, Tensor] = {}
    for path, value in _leaves(result, ()):
        if value is None:
            continue
        if not isinstance(value, Tensor):
            where = "".join(f"[{part!r}]" for part in path)
            raise InputError(
                f"the network's result{where} is {type(value).__name__}; return tensors"
            )
        found[_output_name(path, len(found), {*inputs, *found})] = value
    if not found:
        raise InputError("the network returns no tensor; return at least one")
    return found


def _output_name(path: _Path, place: int, taken: Collection[str]) -> str:
    if not any(isinstance(part, str) for part in path):
        return f"output_{place}"
    name = re.sub(r"[^\w.]", "_", ".".join(map(str, path)), flags=re.ASCII)
    name = f"output_{name}" if not name or name[0].isdigit() or name in taken else name
    return f"{name}_{place}" if name in taken else name


def _inner(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    inner = nested(value)
    if sorted(inner) == sorted(map(str, range(len(inner)))):
        return [inner[str(place)] for place in range(len(inner))]
    return inner


def _leaves(value: Any, path: _Path) -> Iterator[tuple[_Path, Any]]:
    """Yield the values inside containers with their paths."""
    parts: Iterator[tuple[str | int, Any]]
    if isinstance(value, Mapping):
        parts = ((str(key), inner) for key, inner in value.items())
    elif hasattr(value, "_fields"):
        parts = zip(value._fields, value, strict=True)
    elif isinstance(value, list | tuple):
        parts = iter(enumerate(value))
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        parts = ((f.name, getattr(value, f.name)) for f in dataclasses.fields(value))
    else:
        yield path, value
        return
    for part, inner in parts:
        yield from _leaves(inner, (*path, part))
