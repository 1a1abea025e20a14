"""Data sets for training, one module each, and the synthesis of captures."""

__all__: list[str] = []
