"""Parsers of amounts with a unit: times, counts and sizes."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from edge_pipeline.errors import InputError

__all__ = ["COUNT", "SIZE", "TIME_MS", "parse_amount"]

TIME_MS = {"us": 1e-3, "ms": 1.0, "s": 1e3}
"""Milliseconds of each unit of time."""
COUNT = {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}
"""Factors of the prefixes of counts."""
SIZE = {
    "B": 1.0,
    **{"kB": 1e3, "KB": 1e3, "MB": 1e6, "GB": 1e9},
    **{"KiB": 2.0**10, "MiB": 2.0**20, "GiB": 2.0**30},
}
"""Bytes of each unit of size."""

_AMOUNT = re.compile(r"([0-9.]+(?:[eE][+-]?[0-9]+)?)\s*([A-Za-z]*)")


def parse_amount(option: str, text: str, units: Mapping[str, float]) -> float:
    """Parse a number with a unit, such as `20ms`; return it in the unit whose factor is 1.

    Args:
        option: Name of the option, for messages.
        text: The number and the unit.
        units: Factor of each unit; the unit `` permits a number without unit.

    Raises:
        InputError: If the text is no number above 0 with one of these units.
    """
    match = _AMOUNT.fullmatch(text.strip())
    try:
        number = float(match[1]) if match else math.nan
    except ValueError:
        number = math.nan
    if match is None or match[2] not in units or not 0 < number < math.inf:
        names = [unit for unit in units if unit]
        raise InputError(
            f"{option} {text} is no amount; write a number above 0 and one of the units "
            f"{', '.join(names)}, as in 20{names[1]}"
        )
    return number * units[match[2]]
