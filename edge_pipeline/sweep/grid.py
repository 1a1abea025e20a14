"""The values of phi that a sweep may evaluate: an exact grid within the network's range."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

from edge_pipeline.errors import InputError

__all__ = ["DEFAULT_STEP", "grid_of", "parse_grid", "parse_phis"]

DEFAULT_STEP = "0.01"
"""Distance of the values of phi, as in [AmortizedScaling], section 4.1 "Evaluation"."""

_MOST = 10_000


def grid_of(phi_range: tuple[float, float], text: str | None = None) -> list[float]:
    """Return the values of phi of a grid in ascending order, each the float of a decimal number.

    Args:
        phi_range: Lowest and highest phi of the network; 0 is no value of a grid.
        text: `LOW:HIGH:STEP`, both ends included; None for the whole range in steps of 0.01.

    Raises:
        InputError: If the text is not such a range, or leaves the network's range.
    """
    step = Decimal(DEFAULT_STEP)
    low, high = (Decimal(repr(float(end))) for end in phi_range)
    if text is not None:
        low, high, step = parse_grid(text)
    elif low == 0:
        low = min(step, high)
    _check(float(low), phi_range)
    _check(float(high), phi_range)
    count = int((high - low) / step) + 1
    if count > _MOST:
        raise InputError(
            f"--phi {low}:{high}:{step} has {count} values, and at most {_MOST} are supported; "
            "give a larger step"
        )
    return [float(low + k * step) for k in range(count)]


def parse_grid(text: str) -> tuple[Decimal, Decimal, Decimal]:
    """Parse `LOW:HIGH:STEP`.

    Raises:
        InputError: If the text is no such range, or a number has the wrong sign or order.
    """
    parts = text.split(":")
    try:
        low, high, step = map(Decimal, parts)
    except (ValueError, InvalidOperation) as error:
        raise InputError(
            f"--phi {text} is no range; write LOW:HIGH:STEP, as in 0.1:0.6:0.01"
        ) from error
    if not all(number.is_finite() for number in (low, high, step)) or step <= 0 or high < low:
        raise InputError(
            f"--phi {text} is no range; LOW must not exceed HIGH, and STEP must be above 0"
        )
    return low, high, step


def parse_phis(text: str, phi_range: tuple[float, float]) -> list[float]:
    """Parse a list of values of phi, such as `0.1,0.25`; return them in ascending order.

    Raises:
        InputError: If a part is not a number within the network's range.
    """
    found = set()
    for part in text.split(","):
        try:
            value = float(part)
        except ValueError as error:
            raise InputError(
                f"--measure {text} has {part!r}, which is no number; write 0.1,0.25"
            ) from error
        _check(value, phi_range)
        found.add(value)
    return sorted(found)


def _check(phi: float, phi_range: tuple[float, float]) -> None:
    low, high = phi_range
    if not (phi > 0 and low <= phi <= high):
        raise InputError(
            f"phi {phi:g} is outside the network's range; give values above 0, from {low:g} to "
            f"{high:g}"
        )
