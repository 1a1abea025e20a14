"""The networks, one module each, and their costs and checkpoints."""

__all__: list[str] = []
