"""Calibration samples, and the accuracy of a compiled form."""

__all__: list[str] = []
