"""Developing captures with an artifact."""

__all__: list[str] = []
