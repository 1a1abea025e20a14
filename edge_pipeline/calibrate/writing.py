"""The files of a profile: NAME.toml, and the costs beside it."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

from edge_pipeline.calibrate.journal import Machine
from edge_pipeline.compiler.lowering.cost_model import COSTS_FILE, Costs
from edge_pipeline.device_profile import CostBasis, DeviceProfile, Limits, Peaks
from edge_pipeline.errors import InputError
from edge_pipeline.files import atomic_file

__all__ = ["costs_path", "costs_text", "profile_of", "profile_text", "write_profile"]

_ARCHITECTURES = {
    "aarch64": ("aarch64", "arm64"),
    "armv7l": ("armv7l", "armeabi-v7a"),
    "x86_64": ("x86_64", "amd64"),
}


def profile_of(
    name: str,
    address: tuple[str, str],
    machine: Machine,
    runtimes: tuple[str, ...],
    peaks: Peaks | None,
    method: str,
) -> DeviceProfile:
    """Return the profile of a measured device.

    Args:
        name: Name of the profile.
        address: Kind of the device, and its address.
        machine: Description of the device.
        runtimes: Backends that were measured.
        peaks: Peak speed; None for an emulated device.
        method: Description of how instructions were counted; empty for times.

    Raises:
        InputError: If the architecture of the device is unknown.
    """
    environment = machine.environment
    maker, _, model = environment.system_name.partition(" ")
    how = "times of the device"
    if machine.emulated:
        how = f"numbers of instructions, not on times: {method}"
    return DeviceProfile.model_validate(
        {
            "name": name,
            "identity": {
                "maker": maker or "unknown",
                "model": model or maker or "unknown",
                "processor": environment.host_processor_model_name,
                "arch": _architecture(environment.operating_system),
                "cores": environment.host_processor_core_count,
            },
            "transport": address[0],
            "address": address[1],
            "runtimes": runtimes,
            "limits": Limits(memory_mb=max(1, environment.host_memory_bytes >> 20)),
            "peaks": peaks,
            "costs": CostBasis(basis="instructions" if machine.emulated else "time", how=how),
        }
    )


def _architecture(system: str) -> str:
    words = system.replace(",", " ").replace("(", " ").replace(")", " ").split()
    for name, spellings in _ARCHITECTURES.items():
        if any(word.lower().startswith(spellings) for word in words):
            return name
    raise InputError(
        f"the device has the operating system {system!r}, which names none of the architectures "
        f"{', '.join(_ARCHITECTURES)}"
    )


def profile_text(profile: DeviceProfile) -> str:
    """Return a profile as TOML."""
    fields = profile.model_dump(mode="json", exclude={"name"}, exclude_none=True)
    tables = {key: fields.pop(key) for key in list(fields) if isinstance(fields[key], dict)}
    lines = [f"{key} = {_value(value)}" for key, value in fields.items() if value != ""]
    for title, table in tables.items():
        lines += ["", f"[{title}]", *(f"{key} = {_value(value)}" for key, value in table.items())]
    return "\n".join(lines) + "\n"


def _value(value: object) -> str:
    """Return a number, a text without control characters, or a list of these, in TOML."""
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, str):
        value = "".join(letter if letter.isprintable() else " " for letter in value)
    return json.dumps(value, ensure_ascii=False)


def costs_text(costs: Costs) -> str:
    """Return the costs as JSON with one sample per line, so that diffs of new samples are short."""
    fields = costs.model_dump(mode="json", exclude_defaults=True)
    samples = fields.pop("samples", [])
    lines = ",\n".join("  " + json.dumps(sample) for sample in samples)
    head = json.dumps(fields, indent=1, sort_keys=True).removesuffix("\n}")
    return f'{head},\n "samples": [\n{lines}\n ]\n}}\n'


def costs_path(path: Path) -> Path:
    """Return the path of the costs of the profile at `path`."""
    return path.with_name(f"{path.stem}.{COSTS_FILE}")


def write_profile(path: Path, profile: DeviceProfile | None, costs: Costs) -> None:
    """Write the costs, then the profile, so that a profile never lacks its costs.

    Args:
        path: File of the profile.
        profile: The profile; None to keep the file.
        costs: Its costs.

    Raises:
        OutputError: If a file cannot be written.
    """
    with atomic_file(costs_path(path)) as temporary:
        temporary.write_text(costs_text(costs), encoding="utf-8")
    if profile is not None:
        text = profile_text(profile)
        tomllib.loads(text)
        with atomic_file(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
