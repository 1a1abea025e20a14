"""Android's commands answer in Android's formats, from files that a test may change."""

import re
from collections.abc import Iterator

import pytest

from tests.adb_bed.bed import AdbBed
from tests.adb_bed.sensors import PROPERTIES

BATTERY_LINE = re.compile(r"  [A-Z ]*[a-z ]+: (true|false|-?\d+|Li-ion)")


@pytest.fixture(scope="module")
def lasting_bed() -> Iterator[AdbBed]:
    bed = AdbBed()
    yield bed
    bed.close()


def say(bed: AdbBed, command: str) -> str:
    return bed.sandbox.run(command)


def test_getprop_lists_and_answers(lasting_bed: AdbBed) -> None:
    lines = say(lasting_bed, "getprop").splitlines()
    assert lines == [f"[{key}]: [{PROPERTIES[key]}]" for key in sorted(PROPERTIES)]
    assert say(lasting_bed, "getprop ro.soc.model; getprop no.such; getprop no.such other") == (
        "EP8000\n\nother\n"
    )


def test_getprop_follows_the_test(adb_bed: AdbBed) -> None:
    adb_bed.sensors.set_property("ro.product.model", "A = [strange] $(name)")
    assert say(adb_bed, "getprop ro.product.model") == "A = [strange] $(name)\n"
    assert adb_bed.sensors.property("ro.product.model") == "A = [strange] $(name)"
    assert say(adb_bed, "getprop | wc -l") == f"{len(PROPERTIES)}\n"


def test_dumpsys_battery_has_the_lines_of_android(adb_bed: AdbBed) -> None:
    adb_bed.sensors.set_battery(15, "Charging", 34.0)
    first, *lines = say(adb_bed, "dumpsys battery").splitlines()
    assert first == "Current Battery Service state:"
    assert [line for line in lines if not BATTERY_LINE.fullmatch(line)] == []
    values = dict(line.strip().split(": ") for line in lines)
    assert (values["level"], values["status"], values["temperature"]) == ("15", "2", "340")
    assert say(adb_bed, "dumpsys battery get level; cmd battery get status") == "15\n2\n"


def test_dumpsys_thermalservice_has_the_lines_of_android(adb_bed: AdbBed) -> None:
    adb_bed.sensors.throttle(3, 46.5)
    text = say(adb_bed, "dumpsys thermalservice")
    assert "\nThermal Status: 3\n" in text
    _, _, current = text.partition("Current temperatures from HAL:\n")
    pattern = r"^\tTemperature\{mValue=([\d.]+), mType=(\d), mName=([\w-]+), mStatus=(\d)\}$"
    found = re.findall(pattern, current, re.M)
    assert ("46.5", "3", "skin", "3") in found
    assert {name for _, _, name, _ in found} == {"cpu-little", "cpu-big", "gpu", "battery", "skin"}


def test_throttling_lowers_the_frequencies(adb_bed: AdbBed) -> None:
    name = "/sys/devices/system/cpu/cpu7/cpufreq"
    command = f"cat {name}/scaling_cur_freq {name}/cpuinfo_max_freq"
    assert say(adb_bed, command) == "2800000\n2800000\n"
    adb_bed.sensors.throttle(frequency=0.5)
    assert say(adb_bed, command) == "1400000\n2800000\n"
    adb_bed.sensors.set_governor("powersave")
    assert say(adb_bed, f"cat {name}/scaling_governor") == "powersave\n"


def test_cmd_overrides_the_thermal_status(adb_bed: AdbBed) -> None:
    say(adb_bed, "cmd thermalservice override-status 4")
    text = say(adb_bed, "dumpsys thermalservice")
    assert text.startswith("IsStatusOverride: true\n")
    assert "\nThermal Status: 4\n" in text
    say(adb_bed, "cmd thermalservice reset")
    assert "\nThermal Status: 0\n" in say(adb_bed, "dumpsys thermalservice")


def test_unknown_services_are_reported(lasting_bed: AdbBed) -> None:
    assert say(lasting_bed, "dumpsys nothing 2>&1") == "Can't find service: nothing\n"
    assert say(lasting_bed, "cmd nothing 2>&1; echo $?") == "cmd: Can't find service: nothing\n20\n"


def test_packages_and_instrumentation(adb_bed: AdbBed) -> None:
    assert say(adb_bed, "pm list packages; pm path org.example; echo $?") == "1\n"
    runner = "androidx.test.runner.AndroidJUnitRunner"
    adb_bed.sensors.install("org.example", runner, 'echo "INSTRUMENTATION_RESULT: got=$model"\n')
    assert say(adb_bed, "pm list packages; pm path org.example") == (
        "package:org.example\npackage:/data/app/org.example/base.apk\n"
    )
    assert say(adb_bed, "cmd package list instrumentation") == (
        f"instrumentation:org.example/{runner} (target=org.example)\n"
    )
    done = say(adb_bed, f"am instrument -w -r -e model 'a b' org.example/{runner}")
    assert done == "INSTRUMENTATION_RESULT: got=a b\n"


def test_missing_instrumentation_fails_as_on_android(lasting_bed: AdbBed) -> None:
    text = say(lasting_bed, "am instrument -w no.such/.Runner; echo $?")
    assert "INSTRUMENTATION_FAILED: no.such/.Runner\n" in text
    assert text.endswith("INSTRUMENTATION_STATUS_CODE: -1\n1\n")
    assert "does not exist" in say(lasting_bed, "am start -n no.such/.Main; true")


def test_taskset_knows_the_cores_of_the_phone(adb_bed: AdbBed) -> None:
    assert say(adb_bed, "taskset f0 echo big") == "big\n"
    assert say(adb_bed, "taskset 100 echo none 2>&1; echo $?") == (
        "taskset: sched_setaffinity: Invalid argument\n1\n"
    )
    assert say(adb_bed, "taskset -p 1") == "pid 1's current affinity: ff\n"
    say(adb_bed, "taskset -p 3 1")
    assert adb_bed.sensors.affinities() == ["f0 echo big", "3 1"]


def test_what_toybox_has_and_busybox_lacks(lasting_bed: AdbBed) -> None:
    assert say(lasting_bed, "nohup echo a 'b  c'") == "a b  c\n"
    assert say(lasting_bed, "ps -A | grep -c 'ps -A'") != "0\n"
