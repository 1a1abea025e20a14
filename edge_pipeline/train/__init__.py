"""Training: the loop, losses and recipes."""

__all__: list[str] = []
