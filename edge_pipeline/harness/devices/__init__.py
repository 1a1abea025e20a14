"""Devices that the harness measures on."""

__all__: list[str] = []
