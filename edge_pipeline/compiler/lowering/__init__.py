"""Lowerings of computed-weight operators, one file an operator family."""

__all__: list[str] = []
