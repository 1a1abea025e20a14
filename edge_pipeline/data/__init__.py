"""Data sets, one module each: pictures, labelled pictures, and the synthesis of captures."""

__all__: list[str] = []
