"""Networks as methods: a shipped artifact, and any function of packed mosaics."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from benchmarks.isp.captures import Method, Rgb, finish
from edge_pipeline.data.raw_synthesis import SyntheticCapture
from edge_pipeline.isp.grain import DEFAULT_GRAIN
from edge_pipeline.isp.network import IspSession
from edge_pipeline.raw.cfa import align, unpack

__all__ = ["from_packed", "shipped"]

Planes = NDArray[np.float32]


def from_packed(forward: Callable[[Planes], Planes]) -> Method:
    """Return a method that calls a function, such as a network in training.

    Args:
        forward: Function from packed Bayer, float32 [4, h, w], to white-balanced linear camera RGB
            [3, 2h, 2w].
    """

    def develop(sample: SyntheticCapture) -> Rgb:
        return finish(forward(sample.packed), sample)

    return develop


def shipped(network: IspSession, grain: float = DEFAULT_GRAIN) -> Method:
    """Return a method that runs an artifact as `edge-pipeline develop` does: filters, then tiles.

    Args:
        network: An open session, which stays open.
        grain: Share of the sensor's noise to keep, 0..1.
    """

    def develop(sample: SyntheticCapture) -> Rgb:
        aligned = align(unpack(sample.packed), "RGGB", network.multiple)
        mosaic = aligned.mosaic
        camera = np.zeros((3, *mosaic.shape), np.float32)
        for core in network.cores(mosaic, network.filters(mosaic), grain=grain):
            height, width = core.rgb.shape[1:]
            rows, cols = slice(core.top, core.top + height), slice(core.left, core.left + width)
            inside = camera[:, rows, cols]
            inside[:] = core.rgb[:, : inside.shape[1], : inside.shape[2]]
        return finish(camera[:, : aligned.height, : aligned.width], sample)

    return develop
