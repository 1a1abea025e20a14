"""The distribution from which the rescaling factor of a training step is drawn."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from edge_pipeline.optional import require
from edge_pipeline.train.recipe import Section

__all__ = ["Prior"]


class Prior(Section):
    """A distribution of phi, restricted to a range.

    Attributes:
        low: Lowest phi.
        high: Highest phi; equal to `low` for a network with one fixed phi.
        distribution: `uniform`, or the name of a continuous distribution of `scipy.stats`, which is
            cut off at `low` and `high`.
        arguments: Shape parameters of the distribution of scipy, `loc` and `scale`.

    Source: [AmortizedScaling], sections 3 and 4.1 "Training".
    """

    low: float = Field(default=0.05, gt=0, le=1)
    high: float = Field(default=0.6, gt=0, le=1)
    distribution: str = "uniform"
    arguments: dict[str, float] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _drawable(self) -> Self:
        if self.low > self.high:
            raise ValueError(f"low is {self.low} and high is {self.high}; low must not exceed high")
        if self.distribution != "uniform":
            self._limits()
        elif self.arguments:
            raise ValueError("the uniform distribution has no arguments beside low and high")
        return self

    def _frozen(self) -> Any:
        stats = require("scipy.stats", "train", "priors")
        family = getattr(stats, self.distribution, None)
        if not isinstance(family, stats.rv_continuous):
            raise ValueError(  # noqa: TRY004 - pydantic turns it into its error
                f"scipy.stats has no continuous distribution {self.distribution!r}"
            )
        shapes = family.shapes.split(", ") if family.shapes else []
        for name in self.arguments:
            if name not in (*shapes, "loc", "scale"):
                raise ValueError(
                    f"{self.distribution} has no argument {name!r}; it has "
                    f"{', '.join([*shapes, 'loc', 'scale'])}"
                )
        for name in shapes:
            if name not in self.arguments:
                raise ValueError(f"{self.distribution} requires the argument {name!r}")
        return family(**self.arguments)

    def _limits(self) -> tuple[float, float]:
        """Return the cumulative probabilities of `low` and `high`."""
        frozen = self._frozen()
        low, high = float(frozen.cdf(self.low)), float(frozen.cdf(self.high))
        # They are NaN for invalid shape parameters, and above 1 after the first turn of an angle,
        # such as that of `vonmises`, of which `ppf` has no value.
        if not (self.low == self.high or 0 <= low < high <= 1):
            raise ValueError(
                f"{self.distribution} with {self.arguments} has no probability between {self.low} "
                f"and {self.high}; give other arguments, or another range"
            )
        return low, high

    def draw(self, rng: np.random.Generator, count: int = 1) -> NDArray[np.float64]:
        """Draw independent values of phi.

        Args:
            rng: Generator.
            count: Number of values.

        Returns:
            Array [count].
        """
        shares = rng.random(count)
        if self.distribution == "uniform" or self.low == self.high:
            return self.low + (self.high - self.low) * shares
        low, high = self._limits()
        values = self._frozen().ppf(low + (high - low) * shares)
        return np.clip(np.asarray(values, np.float64), self.low, self.high)
