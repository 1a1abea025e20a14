"""Passes over exported programs, one per file."""

__all__: list[str] = []
