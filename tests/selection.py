"""Which cases and how many random examples run in `make test`; `make slow` runs all of them."""

from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import settings

__all__ = ["PROFILES", "examples", "fast_or_slow"]

# Profiles of hypothesis and their default number of random examples.
PROFILES = {"fast": 15, "thorough": 100}


def fast_or_slow(
    cases: Iterable[tuple[Any, ...]],
    fast: Iterable[tuple[Any, ...]],
    *,
    uncovered: Iterable[Any] = (),
) -> list[Any]:
    """Cases for `parametrize`: those outside a covering selection are marked `slow`.

    Args:
        cases: All cases, such as (backend, form, network).
        fast: The selection; each value of each column must occur in it.
        uncovered: Values that occur in slow cases alone.

    Raises:
        ValueError: If a case of the selection is unknown, or a value is in no fast case.
    """
    every, selected, left_out = list(cases), list(fast), list(uncovered)
    if unknown := [case for case in selected if case not in every]:
        raise ValueError(f"no such case: {unknown}")
    for column, values in enumerate(zip(*every, strict=True)):
        covered = [case[column] for case in selected]
        if missing := [value for value in values if value not in [*covered, *left_out]]:
            raise ValueError(f"no fast case has {missing[0]!r}")
    return [
        pytest.param(*case, marks=() if case in selected else pytest.mark.slow) for case in every
    ]


def examples(thorough: int, fast: int | None = None, **further: Any) -> settings:
    """Settings of a random search in which each example is expensive, such as a compilation.

    Args:
        thorough: Number of examples with `--hypothesis-profile=thorough`, as in `make slow`.
        fast: Number of examples otherwise; by default a third of `thorough`, at least 4.
        further: Further settings of hypothesis.
    """
    many = settings().max_examples >= PROFILES["thorough"]
    few = max(4, thorough // 3) if fast is None else fast
    return settings(max_examples=thorough if many else min(few, thorough), **further)
