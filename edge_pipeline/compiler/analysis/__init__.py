"""What the graph of a program tells: constants, movements, computed weights."""

__all__: list[str] = []
