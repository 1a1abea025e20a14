"""Suites: compilation and measurement of a matrix of networks, backends and devices."""

__all__: list[str] = []
