"""The files in which the emulated machine reports its processor, because QEMU reports this one's.

QEMU's user mode reads absolute paths from the folder of its option -L first, so that a runtime that
looks into /proc/cpuinfo and /sys/devices/system/cpu finds these. The processor is invented: cores
like Arm's Cortex-A76, with caches of usual sizes.
"""

from __future__ import annotations

from pathlib import Path

__all__ = ["CPU", "PROCESSOR", "write_processor"]

CPU = "cortex-a76"
"""QEMU's name of the processor. Its default has longer vectors (SVE) than phones have, so that a
program executes fewer instructions: isp_default's `forward` 46.1 instead of 67.8 million."""

PROCESSOR = "Cortex-A76 (emulated)"

_FEATURES = (
    "fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop "
    "asimddp ssbs"
)
_HIGHEST_KHZ, _LOWEST_KHZ = 2_400_000, 1_500_000
_CACHES = ((1, "Data", "64K"), (1, "Instruction", "64K"), (2, "Unified", "512K"))
_SHARED_CACHE = (3, "Unified", "2048K")


def write_processor(root: Path, cores: int) -> None:
    """Write the files of a processor.

    Args:
        root: Folder of the machine's files.
        cores: Number of cores.
    """
    cpus = "sys/devices/system/cpu"
    every = "0" if cores == 1 else f"0-{cores - 1}"
    texts = {"proc/cpuinfo": "\n".join(_cpuinfo(core) for core in range(cores))}
    texts |= {f"{cpus}/{name}": every for name in ("possible", "present", "online")}
    texts[f"{cpus}/kernel_max"] = str(cores - 1)
    for core in range(cores):
        for name, text in _core(core, every).items():
            texts[f"{cpus}/cpu{core}/{name}"] = text
    for name, text in texts.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n", encoding="ascii")


def _cpuinfo(core: int) -> str:
    lines = {
        "processor": core,
        "BogoMIPS": "49.15",
        "Features": _FEATURES,
        "CPU implementer": "0x41",
        "CPU architecture": 8,
        "CPU variant": "0x3",
        "CPU part": "0xd0b",
        "CPU revision": 1,
    }
    return "".join(f"{name}\t: {value}\n" for name, value in lines.items())


def _core(core: int, every: str) -> dict[str, str]:
    """Return the files of a core's folder."""
    own = str(core)
    found = {
        "cpufreq/cpuinfo_max_freq": str(_HIGHEST_KHZ),
        "cpufreq/cpuinfo_min_freq": str(_LOWEST_KHZ),
        "cpufreq/scaling_cur_freq": str(_HIGHEST_KHZ),
        "regs/identification/midr_el1": "0x00000000413fd0b1",
        "topology/physical_package_id": "0",
        "topology/cluster_id": "0",
        "topology/core_id": own,
    }
    shared = ("core_siblings_list", "package_cpus_list", "cluster_cpus_list")
    found |= {f"topology/{name}": every for name in shared}
    found |= {f"topology/{name}": own for name in ("thread_siblings_list", "core_cpus_list")}
    caches = [*((*cache, own) for cache in _CACHES), (*_SHARED_CACHE, every)]
    for index, (level, kind, size, users) in enumerate(caches):
        folder = f"cache/index{index}"
        found[f"{folder}/level"] = str(level)
        found[f"{folder}/type"] = kind
        found[f"{folder}/size"] = size
        found[f"{folder}/shared_cpu_list"] = users
        found[f"{folder}/coherency_line_size"] = "64"
    return found
