"""Developing captures into pictures with an artifact."""

__all__: list[str] = []
