"""Lowerings of computed-weight operators, one file per operator family."""

__all__: list[str] = []
