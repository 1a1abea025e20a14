"""Layers that several networks share."""

__all__: list[str] = []
