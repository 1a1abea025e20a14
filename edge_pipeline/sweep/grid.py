"""The values of phi that a sweep may evaluate: an exact grid within the network's range.

A network with separate factors has a grid for each of them; all have the same values.
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

from edge_pipeline.errors import InputError
from edge_pipeline.select.phi import Phi, factors_of

__all__ = ["DEFAULT_STEP", "MOST", "grid_of", "parse_grid", "parse_phis"]

DEFAULT_STEP = "0.01"
"""Distance of the values of phi, as in [AmortizedScaling], section 4.1 "Evaluation"."""

_SEPARATE_STEP = "0.1"  # as in appendix C.1 "Setup"
MOST = 10_000
"""Most values of a grid."""


def grid_of(
    phi_range: tuple[float, float], text: str | None = None, factors: int = 1
) -> list[float]:
    """Return the values of a factor in ascending order, each the float of a decimal number.

    Args:
        phi_range: Lowest and highest phi of the network; 0 is no value of a grid.
        text: `LOW:HIGH:STEP`, both ends included; None for the whole range in steps of 0.01, or of
            0.1 if there are several factors.
        factors: Number of separate rescaling factors.

    Raises:
        InputError: If the text is not such a range, or leaves the network's range.
    """
    step = Decimal(DEFAULT_STEP if factors == 1 else _SEPARATE_STEP)
    low, high = (Decimal(repr(float(end))) for end in phi_range)
    if text is not None:
        low, high, step = parse_grid(text)
    elif low == 0:
        low = min(step, high)
    _check(float(low), phi_range)
    _check(float(high), phi_range)
    count = int((high - low) / step) + 1
    if count > MOST:
        raise InputError(
            f"--phi {low}:{high}:{step} has {count} values, and at most {MOST} are supported; "
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


def parse_phis(text: str, phi_range: tuple[float, float], factors: int = 1) -> list[Phi]:
    """Parse a list of values of phi, such as `0.1,0.25`; return them in ascending order.

    Args:
        text: The list. With several factors, a value is one number for all of them, or one for
            each, as in `0.3-0.4-0.5`.
        phi_range: Lowest and highest phi of the network.
        factors: Number of separate rescaling factors.

    Raises:
        InputError: If a part is not a number, or as many as there are factors, within the
            network's range.
    """
    found: set[Phi] = set()
    for part in text.split(","):
        try:
            values = tuple(map(float, part.split("-") if factors > 1 else [part]))
        except ValueError as error:
            example = "0.1,0.25" if factors == 1 else "-".join(["0.3"] * factors)
            raise InputError(
                f"--measure {text} has {part!r}, which is no number; write {example}"
            ) from error
        if len(values) not in (1, factors):
            raise InputError(
                f"--measure {text} has {part!r} with {len(values)} factors; the network has "
                f"{factors}"
            )
        for value in values:
            _check(value, phi_range)
        found.add(values * (factors // len(values)) if factors > 1 else values[0])
    return sorted(found, key=factors_of)


def _check(phi: float, phi_range: tuple[float, float]) -> None:
    low, high = phi_range
    if not (phi > 0 and low <= phi <= high):
        raise InputError(
            f"phi {phi:g} is outside the network's range; give values above 0, from {low:g} to "
            f"{high:g}"
        )
