"""Calibration: measurement of a device's peaks and of the compiler's costs on it."""

__all__: list[str] = []
