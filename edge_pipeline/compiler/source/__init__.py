"""How a network comes in, and which programs are made of it."""

__all__: list[str] = []
