"""Training: loop, losses, recipes."""

__all__: list[str] = []
