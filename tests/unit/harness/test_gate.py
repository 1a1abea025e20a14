"""Conditions for a measurement, with sensors that follow a script."""

import pytest

from edge_pipeline.errors import InputError, JobError
from edge_pipeline.harness.gate import Gate, pass_gate, refuse_throttled
from edge_pipeline.record import Sensors


def _passed(readings, gate):
    left = list(readings)
    waits, steps = [], []
    found = pass_gate("phone", lambda: left.pop(0), gate, steps.append, sleep=waits.append)
    return found, waits, steps


def test_a_device_without_sensors_passes():
    gate = Gate(max_temperature_c=30, throttled="refuse")
    assert _passed([Sensors()], gate) == (Sensors(), [], [])


def test_a_hot_device_cools_down_first():
    hot, cool = (Sensors(temperatures_c={"cpu": t, "skin": 20.0}) for t in (45.5, 39.0))
    found, waits, steps = _passed([hot, hot, cool], Gate(max_temperature_c=40))
    assert found == cool
    assert waits == [5.0, 5.0]
    assert steps[0] == "cooling down: its temperature is 45.5 C, the limit 40 C"


def test_a_device_that_stays_hot_is_refused():
    hot = Sensors(temperatures_c={"cpu": 80.0})
    with pytest.raises(JobError, match="phone did not cool down in 10 s: its temperature is 80"):
        _passed([hot] * 9, Gate(max_temperature_c=40, cool_down_s=10))


def test_an_empty_battery_is_refused_unless_it_charges():
    low = Sensors(battery_percent=7, charging=False)
    with pytest.raises(JobError, match=r"battery of phone has 7 % left; charge it to 20 %"):
        _passed([low], Gate())
    charging = low.model_copy(update={"charging": True})
    assert _passed([charging], Gate())[0] == charging


def test_throttling_is_waited_out_or_accepted():
    slow = Sensors(throttled=True, thermal_status="severe")
    assert _passed([slow], Gate())[0] == slow
    refusing = Gate(throttled="refuse", cool_down_s=5)
    with pytest.raises(JobError, match="thermal status severe"):
        _passed([slow, slow], refusing)
    refuse_throttled("phone", slow, Gate())
    with pytest.raises(JobError, match="phone throttled during the measurement"):
        refuse_throttled("phone", slow, refusing)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"min_battery_percent": 101}, "from 0 to 100 percent, got 101"),
        ({"max_temperature_c": -3}, "got -3"),
        ({"cool_down_s": -1}, "got -1 s"),
    ],
)
def test_impossible_conditions_are_refused(fields, message):
    with pytest.raises(InputError, match=message):
        Gate(**fields)
