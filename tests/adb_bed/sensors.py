"""What a phone tells about itself: properties, cores, temperatures, battery, packages.

The files have the names and the units of Linux and of Android; tests change them while the device
runs, and programs in the sandbox read them.
"""

from dataclasses import dataclass
from pathlib import Path

__all__ = ["CLUSTERS", "PROPERTIES", "Cluster", "Sensors"]

PROPERTIES = {
    "ro.build.version.release": "14",
    "ro.build.version.sdk": "34",
    "ro.hardware": "bed",
    "ro.product.cpu.abi": "arm64-v8a",
    "ro.product.cpu.abilist": "arm64-v8a,armeabi-v7a,armeabi",
    "ro.product.device": "bed",
    "ro.product.manufacturer": "edge_pipeline",
    "ro.product.model": "Test Bed 8",
    "ro.product.name": "bed",
    "ro.soc.manufacturer": "edge_pipeline",
    "ro.soc.model": "EP8000",
    "sys.boot_completed": "1",
}
ZONES = {"cpu-little": 35_000, "cpu-big": 36_000, "gpu": 34_000, "battery": 29_500, "skin": 31_000}
BATTERY = {
    "capacity": "85",
    "charge_counter": "3270000",
    "current_now": "-350000",
    "health": "Good",
    "present": "1",
    "status": "Discharging",
    "technology": "Li-ion",
    "temp": "295",
    "type": "Battery",
    "voltage_now": "4052000",
}


@dataclass(frozen=True)
class Cluster:
    """Cores of one kind; frequencies in kHz, `part` as in /proc/cpuinfo."""

    first: int
    cores: int
    part: int
    min_khz: int
    max_khz: int
    capacity: int


CLUSTERS = (
    Cluster(0, 4, 0xD05, 300_000, 1_800_000, 250),  # Cortex-A55
    Cluster(4, 3, 0xD41, 400_000, 2_400_000, 840),  # Cortex-A78
    Cluster(7, 1, 0xD44, 500_000, 2_800_000, 1024),  # Cortex-X1
)
CPU = "devices/system/cpu"


class Sensors:
    """The files of a phone, below `<root>/bed`; every method may be called while it runs."""

    def __init__(self, root: Path) -> None:
        self._bed = root / "bed"

    def create(self) -> None:
        """Write every file with the values of a cool, charged phone."""
        self._write("build.prop", "".join(f"{key}={PROPERTIES[key]}\n" for key in PROPERTIES))
        self._write("thermal_status", "0\n")
        self._write("thermal_override", "false\n")
        self._write("packages", "")
        self._write("affinity", "")
        for number, (name, temperature) in enumerate(ZONES.items()):
            self.write(f"class/thermal/thermal_zone{number}/type", name)
            self.write(f"class/thermal/thermal_zone{number}/temp", temperature)
        for name, value in BATTERY.items():
            self.write(f"class/power_supply/battery/{name}", value)
        self.write("class/power_supply/usb/online", 1)
        last = CLUSTERS[-1].first + CLUSTERS[-1].cores - 1
        for name in ("online", "possible", "present"):
            self.write(f"{CPU}/{name}", f"0-{last}")
        self._write("cpuinfo", "".join(_cpuinfo(cluster) for cluster in CLUSTERS))
        for cluster in CLUSTERS:
            self._create_cluster(cluster)

    def write(self, name: str, value: object) -> None:
        """Set a file below /sys, such as `class/thermal/thermal_zone0/temp`."""
        self._write(f"sys/{name}", f"{value}\n")

    def read(self, name: str) -> str:
        """A file below /sys, without its newline."""
        return (self._bed / "sys" / name).read_text().rstrip("\n")

    def property(self, name: str) -> str:
        """What `getprop` answers."""
        for line in (self._bed / "build.prop").read_text().splitlines():
            key, _, value = line.partition("=")
            if key == name:
                return value
        return ""

    def set_property(self, name: str, value: str) -> None:
        """Set what `getprop` answers."""
        file = self._bed / "build.prop"
        lines = [line for line in file.read_text().splitlines() if line.split("=")[0] != name]
        self._write("build.prop", "\n".join([*lines, f"{name}={value}"]) + "\n")

    def set_battery(self, level: int, status: str = "Discharging", celsius: float = 29.5) -> None:
        """Set the charge in percent, the status as in sysfs, and the temperature."""
        self.write("class/power_supply/battery/capacity", level)
        self.write("class/power_supply/battery/status", status)
        self.write("class/power_supply/battery/temp", round(celsius * 10))
        self.set_temperature("battery", celsius)

    def set_temperature(self, zone: str, celsius: float) -> None:
        """Set the temperature of a thermal zone, by the name that its file `type` has."""
        number = list(ZONES).index(zone)
        self.write(f"class/thermal/thermal_zone{number}/temp", round(celsius * 1000))

    def throttle(self, status: int = 3, celsius: float = 46.0, frequency: float = 0.5) -> None:
        """Make the phone hot: thermal status 0 to 6, skin temperature, share of the frequency."""
        self._write("thermal_status", f"{status}\n")
        self.set_temperature("skin", celsius)
        for cluster in CLUSTERS:
            for core in range(cluster.first, cluster.first + cluster.cores):
                khz = max(cluster.min_khz, round(cluster.max_khz * frequency))
                self.write(f"{CPU}/cpu{core}/cpufreq/scaling_cur_freq", khz)
                self.write(f"{CPU}/cpu{core}/cpufreq/scaling_max_freq", khz)

    def set_governor(self, name: str) -> None:
        """Set the governor of every core."""
        for cluster in CLUSTERS:
            for core in range(cluster.first, cluster.first + cluster.cores):
                self.write(f"{CPU}/cpu{core}/cpufreq/scaling_governor", name)

    def install(self, package: str, runner: str = "", script: str = "") -> None:
        """Add a package; `am instrument PACKAGE/RUNNER` then runs the shell script."""
        with (self._bed / "packages").open("a") as file:
            file.write(f"{package} {runner}".rstrip() + "\n")
        self._write(f"instrumentation/{package}", script)

    def affinities(self) -> list[str]:
        """The masks and commands that `taskset` was called with."""
        return (self._bed / "affinity").read_text().splitlines()

    def _create_cluster(self, cluster: Cluster) -> None:
        cores = range(cluster.first, cluster.first + cluster.cores)
        frequencies = {
            "affected_cpus": " ".join(map(str, cores)),
            "cpuinfo_max_freq": cluster.max_khz,
            "cpuinfo_min_freq": cluster.min_khz,
            "related_cpus": " ".join(map(str, cores)),
            "scaling_cur_freq": cluster.max_khz,
            "scaling_governor": "schedutil",
            "scaling_max_freq": cluster.max_khz,
            "scaling_min_freq": cluster.min_khz,
        }
        for core in cores:
            self.write(f"{CPU}/cpu{core}/online", 1)
            self.write(f"{CPU}/cpu{core}/cpu_capacity", cluster.capacity)
            for name, value in frequencies.items():
                self.write(f"{CPU}/cpu{core}/cpufreq/{name}", value)

    def _write(self, name: str, text: str) -> None:
        file = self._bed / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


def _cpuinfo(cluster: Cluster) -> str:
    features = "fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp asimdrdm asimddp"
    return "".join(
        f"processor\t: {core}\nBogoMIPS\t: 49.15\nFeatures\t: {features}\n"
        "CPU implementer\t: 0x41\nCPU architecture: 8\nCPU variant\t: 0x1\n"
        f"CPU part\t: {cluster.part:#x}\nCPU revision\t: 0\n\n"
        for core in range(cluster.first, cluster.first + cluster.cores)
    )
