"""Devices on which the harness measures."""

__all__: list[str] = []
