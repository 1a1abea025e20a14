"""Compute the upright picture of a capture in bands, with tiles that fit into a limit on memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_pipeline.isp.bands import Bands
from edge_pipeline.isp.canvas import Order, Part, full_strips, half_strips, upright_size
from edge_pipeline.isp.clock import Clock
from edge_pipeline.isp.memory import MemoryLimit
from edge_pipeline.isp.network import IspSession
from edge_pipeline.isp.parallel import ahead
from edge_pipeline.isp.rendering import Rendering, conversion_of, picture_size
from edge_pipeline.isp.settings import Settings
from edge_pipeline.raw.capture import Capture
from edge_pipeline.raw.signal import Signal

__all__ = ["Progress", "Work", "painted"]

Progress = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class Work:
    """A capture that is ready for the network.

    Attributes:
        capture: Capture, corrected.
        signal: Signal of the capture.
        filters: Filters of the network.
        rendering: Conversion of the network's output to linear sRGB.
        settings: Options of the user.
        clock: Measures the phase `network`.
        on_tile: Function called after each tile with the numbers of finished and of all tiles.
    """

    capture: Capture
    signal: Signal
    filters: dict[str, NDArray[np.float32]]
    rendering: Rendering
    settings: Settings
    clock: Clock
    on_tile: Progress | None


def painted(network: IspSession, memory: MemoryLimit, work: Work, *, resamples: bool) -> Bands:
    """Return the upright picture, which is computed while its bands are read.

    Args:
        network: Network.
        memory: Limit on the memory.
        work: Capture and settings.
        resamples: Whether the picture is going to be resampled: it then has 16 bits per channel,
            otherwise those of the settings.

    Raises:
        JobError: If the picture does not fit into the memory.
    """
    capture, signal, settings = work.capture, work.signal, work.settings
    bits = 16 if resamples else settings.bits
    order = Order.of(capture.orientation)
    largest = memory.largest_window(
        upright_size(signal.width, signal.height, capture.orientation),
        at_once=network.at_once,
        halo=network.halo,
        bits=bits,
        resamples=resamples,
    )
    cores = network.cores(
        signal,
        work.filters,
        grain=0.0 if work.rendering.encoded else settings.grain,
        by_columns=order.by_columns,
        backwards=order.backwards,
        largest=largest,
    )

    def parts() -> Iterator[Part]:
        for core in work.clock.each("network", cores):
            yield Part(core.top - signal.top, core.left - signal.left, core.rgb)
            if work.on_tile is not None:
                work.on_tile(core.done, core.total)

    strips = full_strips if settings.size == "full" else half_strips
    conversion = conversion_of(settings, work.rendering, bits=bits)
    made = strips(parts(), (signal.height, signal.width), conversion, capture.orientation)
    height, width = picture_size(signal, settings)
    size = upright_size(width, height, capture.orientation)
    return Bands(*size, bits, ahead(made) if network.threads > 1 else made)
