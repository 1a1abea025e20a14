"""Option values that several verbs share."""

from __future__ import annotations

from collections.abc import Iterable

from edge_pipeline.errors import InputError

__all__ = ["parse_settings", "parse_size"]

# Above any sensor, and small enough that no count of elements or bytes overflows.
_LONGEST = 1 << 16


def parse_settings(texts: Iterable[str]) -> dict[str, str]:
    """Read `-s key=value` options.

    Args:
        texts: one text an option, such as `n_hid=64`; a value may hold further equals signs.

    Raises:
        InputError: a text has no equals sign or no key, or a key stands twice.
    """
    settings: dict[str, str] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        key = key.strip()
        if not equals or not key:
            raise InputError(f"{text!r} is not a setting; write key=value, such as n_hid=64")
        if key in settings:
            raise InputError(f"the setting {key} stands twice; give it once")
        settings[key] = value.strip()
    return settings


def parse_size(text: str, form: str) -> tuple[int, ...]:
    """Read a size such as `256x256`.

    Args:
        text: positive whole numbers joined by `x`.
        form: which numbers are meant, `HxW` or `CxHxW`; it sets how many there must be.

    Raises:
        InputError: another count, or a part that is no whole number from 1 to 65536.
    """
    parts = text.lower().split("x")
    numbers = tuple(int(part) for part in parts if part.isascii() and part.isdigit())
    wanted = form.count("x") + 1
    if len(parts) != wanted or len(numbers) != wanted or min(numbers) < 1:
        example = "x".join(["4", "256", "256"][-wanted:])
        raise InputError(f"{text!r} is not a size; write {form}, such as {example}")
    if max(numbers) > _LONGEST:
        raise InputError(f"the size {text} goes above {_LONGEST}; give a smaller one")
    return numbers
