"""Passes over exported programs, one file each."""

__all__: list[str] = []
