"""Measuring artifacts on devices."""

__all__: list[str] = []
