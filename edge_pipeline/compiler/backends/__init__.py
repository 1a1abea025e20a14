"""One file a runtime that is compiled for."""

__all__: list[str] = []
