"""Parsers of the option values that several verbs share."""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Iterable, Sequence
from typing import get_args

from edge_pipeline.artifact.tensors import Dtype
from edge_pipeline.compiler.source.naming import InputShape
from edge_pipeline.errors import InputError
from edge_pipeline.registry import BACKENDS

__all__ = [
    "Value",
    "complete_backend",
    "parse_fixed",
    "parse_height_width",
    "parse_inputs",
    "parse_phi",
    "parse_settings",
    "parse_size",
]

Value = str | int | float | bool

# Larger than any sensor, and small enough that no count of elements or bytes overflows.
_INPUT_NAME = re.compile(r"[^\W\d]\w*(\.\w+)*")
_LONGEST = 1 << 16
_DTYPES = get_args(Dtype)
# 1 GiB in float32.
_MOST_VALUES = 1 << 28


def complete_backend(incomplete: str) -> list[str]:
    """Return the names of the backends that begin with `incomplete`, for a shell's completion."""
    return [name for name in BACKENDS.names() if name.startswith(incomplete)]


def parse_settings(texts: Iterable[str]) -> dict[str, str]:
    """Parse `-s key=value` options.

    Args:
        texts: One text per option, such as `n_hid=64`; a value may contain further equals signs.

    Raises:
        InputError: If a text has no equals sign or no key, or a key is given twice.
    """
    settings: dict[str, str] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        key = key.strip()
        if not equals or not key:
            raise InputError(f"{text!r} is not a setting; write key=value, such as n_hid=64")
        if key in settings:
            raise InputError(f"the setting {key} is given twice; give it once")
        settings[key] = value.strip()
    return settings


def parse_size(text: str, form: str) -> tuple[int, ...]:
    """Parse a size such as `256x256`.

    Args:
        text: Positive whole numbers joined by `x`.
        form: Meaning of the numbers, `HxW` or `CxHxW`, which also determines their count.

    Raises:
        InputError: If the count is another, or a part is not a whole number from 1 to 65536.
    """
    parts = text.lower().split("x")
    numbers = tuple(int(part) for part in parts if part.isascii() and part.isdigit())
    count = form.count("x") + 1
    if len(parts) != count or len(numbers) != count or min(numbers) < 1:
        example = "x".join(["4", "256", "256"][-count:])
        raise InputError(f"{text!r} is not a size; write {form}, such as {example}")
    if max(numbers) > _LONGEST:
        raise InputError(f"the size {text} exceeds {_LONGEST}; give a smaller one")
    return numbers


def parse_height_width(inputs: Sequence[str]) -> tuple[int, int] | None:
    """Parse the `--input` of a registered network, `HxW`; return None if there is none.

    Raises:
        InputError: If the text is not a size, or there is a second one.
    """
    if len(inputs) > 1:
        raise InputError(f"--input is given again as {inputs[1]}; give HxW once")
    if not inputs:
        return None
    height, width = parse_size(inputs[0], "HxW")
    return height, width


def parse_inputs(texts: Sequence[str]) -> dict[str, InputShape]:
    """Parse `--input NAME=1x3x224x224` options, optionally with a type, as in `tokens=1x77:int64`.

    A name such as `batch.image` or `maps.0` is an entry of a dictionary or a list.

    Raises:
        InputError: If a text is not a name and a shape, or a name is given twice.
    """
    shapes: dict[str, InputShape] = {}
    for text in texts:
        name, _, rest = text.partition("=")
        sizes, colon, dtype = rest.partition(":")
        if colon and dtype not in _DTYPES:
            raise InputError(
                f"{text!r} has the type {dtype!r}; expected one of {', '.join(_DTYPES)}"
            )
        parts = sizes.split("x")
        if not _INPUT_NAME.fullmatch(name) or not all(p.isdigit() and int(p) for p in parts):
            raise InputError(f"{text!r} is not an input; write NAME=SHAPE, as in image=1x3x224x224")
        if name in shapes:
            raise InputError(f"the input {name} is given twice; give it once")
        kind: Dtype = dtype if colon else "float32"  # type: ignore[assignment]
        shape = tuple(map(int, parts))
        if max(shape) > _LONGEST or math.prod(shape) > _MOST_VALUES:
            raise InputError(
                f"the input {text} is too large; give sides up to {_LONGEST} and at most "
                f"{_MOST_VALUES} values"
            )
        shapes[name] = InputShape(shape, kind)
    return shapes


def parse_phi(text: str | None) -> tuple[float, ...]:
    """Parse the value of `--phi`, one number or several that are separated by commas.

    Returns:
        The numbers in ascending order; empty if there is no `--phi`.

    Raises:
        InputError: If a part is not a finite number, or a number is given twice.
    """
    found: list[float] = []
    for part in () if text is None else text.split(","):
        try:
            value = float(part)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise InputError(
                f"--phi {text!r} is not a number; write one, as in 0.35, or several, as in 0.2,0.35"
            )
        if value in found:
            raise InputError(f"--phi {text} has the value {value:g} twice; give it once")
        found.append(value)
    return tuple(sorted(found))


def parse_fixed(texts: Sequence[str], phi: float | None = None) -> dict[str, Value]:
    """Parse `--fix NAME=VALUE` options; a value is a number, a boolean or a text.

    Args:
        texts: One text per option.
        phi: Value of `--phi`, the short form of `--fix phi=VALUE`.

    Raises:
        InputError: If a text has no equals sign, or a name is given twice.
    """
    fixed: dict[str, Value] = {}
    texts = [*texts] if phi is None else [*texts, f"phi={phi!r}"]
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name.isidentifier():
            raise InputError(f"{text!r} is not a fixed value; write NAME=VALUE, as in phi=0.35")
        if name in fixed:
            raise InputError(f"{name} is fixed twice; give it one value")
        try:
            read = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            read = value
        fixed[name] = read if isinstance(read, int | float) else value
    return fixed
