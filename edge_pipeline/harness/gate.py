"""Conditions for a measurement: temperature, battery and throttling of the device."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from edge_pipeline.errors import InputError, JobError
from edge_pipeline.record import Sensors

__all__ = ["Gate", "pass_gate", "refuse_throttled"]

_POLL_S = 5.0


@dataclass(frozen=True)
class Gate:
    """Conditions under which a measurement starts and counts.

    A sensor that cannot be read meets its condition.

    Attributes:
        max_temperature_c: Highest temperature of any thermal zone at the start, in degrees Celsius;
            None for no limit.
        min_battery_percent: Least charge of the battery, unless it is charging.
        cool_down_s: Longest time to wait until the temperature is low enough, in seconds.
        throttled: `mark` to mark the records of a throttled measurement, `refuse` to refuse it.

    Raises:
        InputError: If a value is out of its range.
    """

    max_temperature_c: float | None = None
    min_battery_percent: float = 20.0
    cool_down_s: float = 600.0
    throttled: Literal["mark", "refuse"] = "mark"

    def __post_init__(self) -> None:
        if not 0 <= self.min_battery_percent <= 100:
            raise InputError(
                "the least charge of the battery must be from 0 to 100 percent, got "
                f"{self.min_battery_percent:g}"
            )
        if self.max_temperature_c is not None and not 0 < self.max_temperature_c < 150:
            raise InputError(
                "the highest temperature must be between 0 and 150 degrees Celsius, got "
                f"{self.max_temperature_c:g}"
            )
        if not 0 <= self.cool_down_s < 86400:
            raise InputError(
                f"the time to cool down must be from 0 s to a day, got {self.cool_down_s:g} s"
            )


def pass_gate(
    name: str,
    read: Callable[[], Sensors],
    gate: Gate,
    on_step: Callable[[str], None] = lambda _step: None,
    *,
    sleep: Callable[[float], None] = time.sleep,
) -> Sensors:
    """Wait until the device meets the conditions, and return its sensors' last readings.

    Args:
        name: Name of the device, for messages.
        read: Function that reads the sensors.
        gate: The conditions.
        on_step: Function that is called with a description while the device cools down.
        sleep: Function that waits.

    Raises:
        JobError: If the battery is too low, or the device does not become cool or unthrottled
            within the time to cool down.
    """
    waited = 0.0
    while True:
        found = read()
        battery = found.battery_percent
        if battery is not None and not found.charging and battery < gate.min_battery_percent:
            raise JobError(
                f"the battery of {name} has {battery:g} % left; charge it to "
                f"{gate.min_battery_percent:g} %, or connect a charger"
            )
        reason = _too_hot(found, gate)
        if reason is None:
            return found
        if waited >= gate.cool_down_s:
            raise JobError(f"{name} did not cool down in {gate.cool_down_s:g} s: {reason}")
        on_step(f"cooling down: {reason}")
        sleep(_POLL_S)
        waited += _POLL_S


def refuse_throttled(name: str, after: Sensors, gate: Gate) -> None:
    """Refuse a measurement during which the device throttled, if the gate says so.

    Raises:
        JobError: If it did.
    """
    if after.throttled and gate.throttled == "refuse":
        status = f" (thermal status {after.thermal_status})" if after.thermal_status else ""
        raise JobError(
            f"{name} throttled during the measurement{status}; cool it, or accept marked records"
        )


def _too_hot(found: Sensors, gate: Gate) -> str | None:
    """Return the reason to wait, or None."""
    hottest = found.hottest_c
    limit = gate.max_temperature_c
    if limit is not None and hottest is not None and hottest > limit:
        return f"its temperature is {hottest:.1f} C, the limit {limit:g} C"
    if found.throttled and gate.throttled == "refuse":
        return f"it is throttled (thermal status {found.thermal_status or 'unknown'})"
    return None
