"""Headerless captures of noise, with the profile that describes them."""

import numpy as np

from edge_pipeline.raw.profile import CameraProfile

__all__ = ["headerless", "noise", "profile_of"]


def profile_of(mosaic, cfa="RGGB", **fields):
    height, width = mosaic.shape
    fields = {"bits": 12, "black": 64, "white": 4095, "wb": (1.0, 1.0, 1.0)} | fields
    return CameraProfile(width=width, height=height, cfa=cfa, **fields)


def headerless(folder, mosaic, name="a.raw"):
    path = folder / name
    mosaic.astype("<u2").tofile(path)
    return path


def noise(height, width, seed=0):
    return np.random.default_rng(seed).integers(64, 4096, (height, width))
