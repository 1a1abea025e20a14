"""Backends, each of which writes programs in the format of one runtime."""

__all__: list[str] = []
