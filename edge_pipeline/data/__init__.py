"""Data sets for training, one file each."""

__all__: list[str] = []
