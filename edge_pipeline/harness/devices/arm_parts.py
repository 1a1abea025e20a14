"""Names of processors in the text of /proc/cpuinfo, which has numbers for Arm's cores."""

from __future__ import annotations

import re
from collections import Counter

__all__ = ["processor_name"]

_ARM = 0x41
# Source: the Main ID Register in Arm's technical reference manual of each core.
_CORES = {
    0xB76: "ARM1176",
    0xC07: "Cortex-A7",
    0xC09: "Cortex-A9",
    0xC0F: "Cortex-A15",
    0xD03: "Cortex-A53",
    0xD04: "Cortex-A35",
    0xD05: "Cortex-A55",
    0xD07: "Cortex-A57",
    0xD08: "Cortex-A72",
    0xD09: "Cortex-A73",
    0xD0A: "Cortex-A75",
    0xD0B: "Cortex-A76",
    0xD0C: "Neoverse-N1",
    0xD0D: "Cortex-A77",
    0xD40: "Neoverse-V1",
    0xD41: "Cortex-A78",
    0xD42: "Cortex-A78AE",
    0xD44: "Cortex-X1",
    0xD46: "Cortex-A510",
    0xD47: "Cortex-A710",
    0xD48: "Cortex-X2",
    0xD49: "Neoverse-N2",
    0xD4B: "Cortex-A78C",
    0xD4D: "Cortex-A715",
    0xD4E: "Cortex-X3",
    0xD4F: "Neoverse-V2",
    0xD80: "Cortex-A520",
    0xD81: "Cortex-A720",
    0xD82: "Cortex-X4",
    0xD85: "Cortex-X925",
    0xD87: "Cortex-A725",
}


def processor_name(cpuinfo: str) -> str:
    """Return the name of a processor.

    Args:
        cpuinfo: Text of /proc/cpuinfo.

    Returns:
        Its `model name` or `Hardware`; otherwise the number and name of each kind of core, such as
        `4 x Cortex-A55, 2 x Cortex-A76`, in the order of the text.
    """
    for key in ("model name", "Hardware"):
        found = re.search(rf"^{key}[ \t]*:[ \t]*(\S.*)$", cpuinfo, re.MULTILINE)
        if found:
            return found[1].strip()
    makers = re.findall(r"^CPU implementer\s*:\s*0x([0-9a-fA-F]{1,4})$", cpuinfo, re.MULTILINE)
    parts = re.findall(r"^CPU part\s*:\s*0x([0-9a-fA-F]{1,4})$", cpuinfo, re.MULTILINE)
    pairs = zip(makers, parts, strict=False)
    counted = Counter(_core(int(maker, 16), int(part, 16)) for maker, part in pairs)
    return ", ".join(f"{n} x {name}" for name, n in counted.items()) or "unknown processor"


def _core(maker: int, part: int) -> str:
    if maker == _ARM and part in _CORES:
        return _CORES[part]
    return f"core {part:#x} of maker {maker:#x}"
