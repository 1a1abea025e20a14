"""Search for the pass or the operator at which a compiled network becomes wrong."""

__all__: list[str] = []
