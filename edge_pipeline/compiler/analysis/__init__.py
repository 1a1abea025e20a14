"""Analyses of a program's graph: constants, data movement, computed weights."""

__all__: list[str] = []
