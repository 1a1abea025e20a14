"""Facts and sensors from the texts of a phone, a Raspberry Pi and stranger machines."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_pipeline.errors import InputError
from edge_pipeline.harness.devices.arm_parts import processor_name
from edge_pipeline.harness.devices.link import Answer
from edge_pipeline.harness.devices.local_link import LocalLink
from edge_pipeline.harness.devices.probe import (
    Facts,
    cores_for,
    facts_of,
    read_files,
    sensors_of,
)

CPU = "/sys/devices/system/cpu"
BOARD = "/proc/device-tree/model"
POWER = "/sys/class/power_supply"
ZONE = "/sys/class/thermal/thermal_zone"


class Texts:
    """Answers the probe's script with these files."""

    def __init__(self, files):
        self.files = files

    def run(self, words, *, timeout_s=30.0):
        assert words[:2] == ["sh", "-c"]
        if BOARD in words[2]:
            return Answer(0, self.files.get(BOARD, ""), "")
        lines = [f"{p}:{line}\n" for p, text in self.files.items() for line in text.splitlines()]
        return Answer(0, "".join(lines), "")


def _arm(parts):
    return "\n".join(
        f"processor\t: {i}\nBogoMIPS\t: 49.15\nFeatures\t: fp asimd aes\nCPU implementer\t: 0x41\n"
        f"CPU architecture: 8\nCPU variant\t: 0x1\nCPU part\t: {part}\nCPU revision\t: 0\n"
        for i, part in enumerate(parts)
    )


PIXEL = {
    "/proc/cpuinfo": _arm(["0xd46"] * 4 + ["0xd4d"] * 4 + ["0xd4e"]),
    "/proc/meminfo": "MemTotal:        7823608 kB\nMemFree:          251612 kB\n",
    "/proc/loadavg": "14.27 13.02 11.91 3/4631 28373\n",
    **{
        f"{CPU}/cpu{i}/cpufreq/cpuinfo_max_freq": f"{khz}\n"
        for i, khz in enumerate([1704000] * 4 + [2367000] * 4 + [2914000])
    },
    **{f"{CPU}/cpu{i}/cpufreq/scaling_governor": "sched_pixel\n" for i in range(9)},
    **{f"{CPU}/cpu{i}/cpufreq/scaling_cur_freq": "1197000\n" for i in range(9)},
    f"{ZONE}0/type": "BIG\n", f"{ZONE}0/temp": "41000\n",
    f"{ZONE}1/type": "battery\n", f"{ZONE}1/temp": "31200\n",
    f"{ZONE}2/type": "disabled_sensor\n", f"{ZONE}2/temp": "-274000\n",
    f"{ZONE}3/type": "vdroop\n", f"{ZONE}3/temp": "2147483647\n",
    f"{ZONE}4/type": "soc\n", f"{ZONE}4/temp": "Invalid argument\n",
    f"{POWER}/usb/type": "USB\n", f"{POWER}/usb/current_now": "0\n",
    f"{POWER}/battery/type": "Battery\n", f"{POWER}/battery/capacity": "83\n",
    f"{POWER}/battery/status": "Discharging\n",
    f"{POWER}/battery/current_now": "-412500\n", f"{POWER}/battery/voltage_now": "4123750\n",
}  # fmt: skip

RASPBERRY = {
    "/proc/cpuinfo": _arm(["0xd08"] * 4) + "\nRevision\t: c03115\nModel\t\t: Raspberry Pi 4\n",
    "/proc/meminfo": "MemTotal:        3885396 kB\n",
    "/proc/loadavg": "0.08 0.03 0.01 1/168 1042\n",
    "/proc/device-tree/model": "Raspberry Pi 4 Model B Rev 1.5\n",
    **{f"{CPU}/cpu{i}/cpufreq/cpuinfo_max_freq": "1800000\n" for i in range(4)},
    **{f"{CPU}/cpu{i}/cpufreq/scaling_governor": "ondemand\n" for i in range(4)},
    f"{ZONE}0/type": "cpu-thermal\n", f"{ZONE}0/temp": "48686\n",
}  # fmt: skip


def test_a_phone_is_described():
    facts = facts_of(Texts(PIXEL))
    assert facts.processor == "4 x Cortex-A510, 4 x Cortex-A715, 1 x Cortex-X3"
    assert (facts.cores, facts.memory_bytes) == (9, 7823608 * 1024)
    assert facts.load_average_1min == 14.27
    assert facts.highest_khz[8] == 2914000
    assert set(facts.governors.values()) == {"sched_pixel"}


def test_a_phones_sensors_are_read_and_impossible_values_left_out():
    found = sensors_of(Texts(PIXEL))
    assert found.temperatures_c == {"BIG 0": 41.0, "battery 1": 31.2}
    assert (found.battery_percent, found.charging) == (83.0, False)
    assert found.clocks_mhz[3] == 1197.0
    assert found.power_w == pytest.approx(0.4125 * 4.12375)


def test_a_raspberry_pi_is_described():
    facts = facts_of(Texts(RASPBERRY))
    assert facts.model == "Raspberry Pi 4 Model B Rev 1.5"
    assert facts.processor == "4 x Cortex-A72"
    found = sensors_of(Texts(RASPBERRY))
    assert found.temperatures_c == {"cpu-thermal 0": 48.686}
    assert (found.battery_percent, found.charging, found.power_w) == (None, None, None)


@pytest.mark.parametrize(("status", "charging"), [("Charging", True), ("Full", True), ("?", False)])
def test_a_battery_at_the_charger(status, charging):
    files = PIXEL | {f"{POWER}/battery/status": status}
    assert sensors_of(Texts(files)).charging is charging


def test_a_machine_that_tells_nothing():
    facts = facts_of(Texts({}))
    assert (facts.cores, facts.processor, facts.load_average_1min) == (1, "unknown processor", None)
    assert sensors_of(Texts({})).temperatures_c == {}


ANY = st.dictionaries(st.sampled_from(sorted(PIXEL)), st.text(max_size=30))


@given(ANY)
def test_no_text_of_a_file_is_an_error(files):
    assert facts_of(Texts(files)).cores >= 1
    assert all(-20 < t < 150 for t in sensors_of(Texts(files)).temperatures_c.values())


@pytest.mark.parametrize(
    ("cores", "threads", "pinned"),
    [
        (None, 1, [8]),
        ("big", 2, [4, 8]),
        ("big", 5, [4, 5, 6, 7, 8]),
        ("little", 1, [3]),
        ("little", 4, [0, 1, 2, 3]),
        ("5,1", 1, [1, 5]),
        (" 0 , 8 ", 2, [0, 8]),
    ],
)
def test_cores_of_a_phone(cores, threads, pinned):
    assert cores_for(cores, facts_of(Texts(PIXEL)), threads) == pinned


@pytest.mark.parametrize(
    ("cores", "threads", "message"),
    [
        ("9", 1, "1 numbers of 0, 1, 2, 3, 4, 5, 6, 7, 8 with commas between them, got '9'"),
        ("0,0", 2, "at least 2 numbers"),
        ("1;rm", 1, "got '1;rm'"),
        ("", 1, "got ''"),
        ("9" * 5000, 1, "at least 1 numbers"),
        (None, 10, "from 1 to 9 on this device, got 10"),
        ("big", 0, "got 0"),
    ],
)
def test_cores_that_a_phone_does_not_have(cores, threads, message):
    with pytest.raises(InputError, match=message):
        cores_for(cores, facts_of(Texts(PIXEL)), threads)


def test_equal_cores_are_not_pinned_by_default():
    facts = facts_of(Texts(RASPBERRY))
    assert cores_for(None, facts, 2) is None
    assert cores_for("1,3", facts, 2) == [1, 3]
    with pytest.raises(InputError, match="no faster and slower cores, got 'big'"):
        cores_for("big", facts, 1)


def test_reserved_cores_are_left_alone():
    facts = facts_of(Texts(PIXEL | {"/proc/self/status": "Cpus_allowed_list:\t0-3,5\n"}))
    assert facts.allowed == (0, 1, 2, 3, 5)
    assert cores_for(None, facts, 1) == [5]
    with pytest.raises(InputError, match="got '8'"):
        cores_for("8", facts, 1)
    with pytest.raises(InputError, match="from 1 to 5 on this device, got 6"):
        cores_for(None, facts, 6)


@given(st.integers(1, 12), st.data())
def test_as_many_cores_as_threads(count, data):
    rates = {cpu: data.draw(st.integers(1, 3)) for cpu in range(count)}
    facts = Facts("", "", count, tuple(range(count)), 1, None, rates)
    threads = data.draw(st.integers(1, count))
    chosen = cores_for(None, facts, threads)
    if chosen is not None:
        assert len(set(chosen)) == threads
        slowest = min(rates[cpu] for cpu in chosen)
        assert all(rates[cpu] <= slowest for cpu in set(rates) - set(chosen))


def test_this_machines_files_are_read_through_a_real_shell():
    found = read_files(LocalLink(), ("/proc/cpuinfo", "/proc/meminfo", "/proc/none", "/proc/stat*"))
    assert set(found) == {"/proc/cpuinfo", "/proc/meminfo", "/proc/stat"}
    facts = facts_of(LocalLink())
    assert facts.cores == os.cpu_count()
    assert facts.memory_bytes == os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("model name\t: AMD EPYC\n", "AMD EPYC"),
        ("model name\t:\nHardware\t: BCM2835\n", "BCM2835"),
        ("CPU implementer\t: 0x51\nCPU part\t: 0x802\n", "1 x core 0x802 of maker 0x51"),
        ("CPU part\t: 0xd03\n", "unknown processor"),
    ],
)
def test_names_of_processors(text, name):
    assert processor_name(text) == name
