"""Finding the pass or the operator at which a compiled network goes wrong."""

__all__: list[str] = []
