"""Rescaling factors of a point: one number, or one for each rescaling of the network."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

from pydantic import Field

__all__ = ["Phi", "factors_of", "phi_text", "phi_value"]

_Factor = Annotated[float, Field(gt=0, le=1)]
Phi = _Factor | Annotated[tuple[_Factor, ...], Field(min_length=2)]
"""One factor of all rescalings, or one for each of them, from fine to coarse; each above 0 to 1."""


def factors_of(phi: Phi) -> tuple[float, ...]:
    """Return the factors of phi; one if all rescalings share it."""
    return phi if isinstance(phi, tuple) else (phi,)


def phi_text(phi: Phi) -> str:
    """Return phi as text that a network and `--fix` read, as in `0.35` or `0.3-0.4-0.5`.

    All digits are written, without an exponent, whose sign could not be told from a separator.
    """
    return "-".join(f"{Decimal(repr(factor)).normalize():f}" for factor in factors_of(phi))


def phi_value(phi: Phi) -> float | str:
    """Return phi as a network's parameter: a number, or text for separate factors."""
    return phi_text(phi) if isinstance(phi, tuple) else phi
