"""Measurement on several devices at the same time, and never twice at once on one machine."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from edge_pipeline.errors import InputError
from edge_pipeline.harness.devices.named import place_of

__all__ = ["lanes_of", "run_lanes"]

_THIS_MACHINE = ("host", "cuda", "emulator")


def lanes_of(devices: Sequence[str]) -> list[list[str]]:
    """Return the devices in lanes that can work at the same time.

    Devices of this machine share a lane, because they would disturb each other. So do the names of
    one kind if one of them has no address: it can be any of them.

    Args:
        devices: Names of devices or profiles.

    Raises:
        InputError: If a device is given twice.
    """
    places: dict[str, tuple[str, str]] = {}
    for name in devices:
        place = place_of(name)
        other = next((known for known in places if places[known] == place), None)
        if other is not None:
            raise InputError(f"the devices {other} and {name} are the same; leave out one")
        places[name] = place
    any_of = {kind for kind, address in places.values() if not address}
    lanes: dict[tuple[str, str], list[str]] = {}
    for name, (kind, address) in places.items():
        key = ("", "") if kind in _THIS_MACHINE else (kind, "" if kind in any_of else address)
        lanes.setdefault(key, []).append(name)
    return list(lanes.values())


def run_lanes(
    lanes: Sequence[Sequence[str]],
    measure: Callable[[Sequence[str]], None],
    stop: threading.Event,
) -> None:
    """Measure the devices of each lane one after another, and the lanes at the same time.

    Args:
        lanes: Names of the devices of each lane.
        measure: Function that measures the devices of one lane; it ends soon if `stop` is set.
        stop: Set if a lane raises an error, or after Ctrl-C.

    Raises:
        BaseException: The first error of a lane, after all have ended.
    """
    if len(lanes) == 1:
        measure(lanes[0])
        return
    with ThreadPoolExecutor(max_workers=len(lanes)) as pool:
        waiting = [pool.submit(measure, lane) for lane in lanes]
        try:
            for future in waiting:
                future.result()
        except BaseException:
            stop.set()
            raise
