"""Labelled data sets for segmentation, one module each, in their published layouts."""

__all__: list[str] = []
