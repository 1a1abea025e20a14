"""Core ML packages."""

__all__: list[str] = []
