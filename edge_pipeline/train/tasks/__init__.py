"""One module for each kind of work that networks are trained for."""

__all__: list[str] = []
