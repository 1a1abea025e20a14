"""Segmenting of pictures with a compiled network: masks and overlays, without torch."""

__all__: list[str] = []
