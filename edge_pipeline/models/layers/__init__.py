"""Layers that the networks use."""

__all__: list[str] = []
