"""Summary of the notes of passes: one line for each kind of change."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["summarised"]

_SHOWN = 3


def summarised(notes: Iterable[str]) -> tuple[str, ...]:
    """Join notes that differ only in the layer to one line.

    Args:
        notes: Notes of the form `LAYER: text`.

    Returns:
        One line for each text, in order: `LAYER, LAYER, LAYER and 4 more: text`.
    """
    layers: dict[str, list[str]] = {}
    for note in notes:
        layer, _, text = note.partition(": ")
        layers.setdefault(text, []).append(layer)
    return tuple(f"{_listed(list(dict.fromkeys(names)))}: {text}" for text, names in layers.items())


def _listed(names: list[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
