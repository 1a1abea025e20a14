"""Evaluation and measurement of one checkpoint at many rescaling factors."""

__all__: list[str] = []
