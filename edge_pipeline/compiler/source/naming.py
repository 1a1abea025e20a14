"""How a network's source is written; without torch, since the command line asks first."""

from __future__ import annotations

__all__ = ["is_factory"]


def is_factory(source: str) -> bool:
    """Whether a source is written as `package.module:factory`."""
    module, colon, name = source.partition(":")
    parts = [*module.split("."), name]
    return bool(colon) and all(part.isidentifier() for part in parts)
