"""Black and white levels that the user gives instead of those of the capture's file."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from edge_pipeline.errors import InputError

__all__ = ["Levels", "parse_levels"]

_LARGEST = 65535


@dataclass(frozen=True)
class Levels:
    """Levels in the camera's own values.

    Attributes:
        black: Black levels for R, G on red rows, G on blue rows, B; None for those of the file.
        white: White level, the value at which the sensor saturates; None for that of the file.

    Raises:
        InputError: If a level is not a number from 0 to 65535, or white is not above black.
    """

    black: tuple[float, float, float, float] | None = None
    white: float | None = None

    def __post_init__(self) -> None:
        for name, levels in (("black", self.black or ()), ("white", (self.white,))):
            for level in levels:
                if level is not None and not (math.isfinite(level) and 0 <= level <= _LARGEST):
                    raise InputError(f"the {name} level is {level:g}; give 0 to {_LARGEST}")
        if self.white is not None and self.white <= max(self.black or (0.0,)):
            raise InputError(
                f"the white level is {self.white:g}; give more than the black level, "
                f"{max(self.black or (0.0,)):g}"
            )

    def changed(self) -> dict[str, Any]:
        """Return the fields of `Capture` that these levels replace."""
        fields = {"black": self.black, "white": self.white}
        return {name: value for name, value in fields.items() if value is not None}


def parse_levels(black: str | None, white: float | None) -> Levels:
    """Return the levels of two options.

    Args:
        black: One level, or four "R,G,G,B" for R, G on red rows, G on blue rows, B; None for the
            levels of the file.
        white: White level; None for that of the file.

    Raises:
        InputError: If the text is not one or four numbers, or a level is outside its range.
    """
    if black is None:
        return Levels(None, white)
    try:
        numbers = [float(part) for part in black.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) not in (1, 4):
        raise InputError(
            f"the black level is {black!r}; give one number, or four as R,G,G,B for R, G on red "
            "rows, G on blue rows, B"
        )
    first, second, third, fourth = numbers * (4 // len(numbers))
    return Levels((first, second, third, fourth), white)
