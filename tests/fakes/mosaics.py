"""Mosaics of noise, and whole pictures from the cores of tiles."""

import numpy as np

from edge_pipeline.raw.cfa import align

__all__ = ["assemble", "some_mosaic"]


def some_mosaic(height, width, seed=0):
    mosaic = np.random.default_rng(seed).random((height, width), dtype=np.float32)
    return align(mosaic, "RGGB", 32).mosaic


def assemble(opened, mosaic, filters=None, grain=0.0):
    """The whole picture from its cores; each pixel must come once, and no other."""
    filters = opened.filters(mosaic) if filters is None else filters
    cores = list(opened.cores(mosaic, filters, grain=grain))
    high = max(core.top + core.rgb.shape[1] for core in cores)
    wide = max(core.left + core.rgb.shape[2] for core in cores)
    out = np.full((3, high, wide), np.nan, np.float32)
    for core in cores:
        place = out[:, core.top : core.top + core.rgb.shape[1], core.left :][
            ..., : core.rgb.shape[2]
        ]
        assert np.isnan(place).all()
        place[:] = core.rgb
    assert not np.isnan(out).any()
    assert out.shape[1:] == mosaic.shape
    assert [core.done for core in cores] == list(range(1, cores[0].total + 1))
    return out
