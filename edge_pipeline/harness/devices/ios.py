"""iPhones: what can be done without a Mac, which is to list them and to read their measurements.

Only Apple's tools install programs on an iPhone, so `bench` cannot measure one from here.
`devices/ios` has the source of a program that does, and docs/how-to/iphone.md the steps; neither
was run, because no Mac and no iPhone were available. `merge_records` checks what it wrote.

pymobiledevice3 is run as a program and never imported, because its licence is the GPL.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from edge_pipeline.artifact.store import Artifact
from edge_pipeline.errors import ArtifactError, InputError
from edge_pipeline.harness.devices.base import Attached, Device, Options
from edge_pipeline.harness.statistics import summarise
from edge_pipeline.harness.verification import read_outputs, verification_of
from edge_pipeline.record import Record, append_records, read_records

__all__ = ["attached", "merge_records", "open_device"]

_TOOL = "pymobiledevice3"
_LIST_S = 20.0
_STEPS = (
    "build and start devices/ios on a Mac with `xcrun` (steps in docs/how-to/iphone.md), and "
    "merge the records that it writes"
)


def open_device(_address: str = "", _options: Options | None = None, /) -> Device:
    """Refuse: only Apple's tools can run programs on an iPhone.

    Raises:
        InputError: Always; the message names the steps.
    """
    raise InputError(f"bench cannot measure an iPhone from this machine; {_STEPS}")


def attached() -> Sequence[Attached]:
    """Return the attached iPhones, if pymobiledevice3 is installed, each with the reason."""
    program = shutil.which(_TOOL)
    if program is None:
        return [
            Attached("ios", "iPhones", {}, f"{_TOOL}, which lists them, is not installed; {_STEPS}")
        ]
    found = _listed(program)
    if found is None:
        reason = f"{_TOOL} cannot list them; is usbmuxd running, and is the iPhone trusted?"
        return [Attached("ios", "iPhones", {}, reason)]
    if not found:
        return [Attached("ios", "iPhones", {}, "no iPhone is attached")]
    return [
        Attached(f"ios:{serial}", description, {}, f"only a Mac can start programs on it: {_STEPS}")
        for serial, description in found.items()
    ]


def _listed(program: str) -> dict[str, str] | None:
    """Return the descriptions of the attached devices by identifier; None if the tool fails."""
    try:
        done = subprocess.run(  # noqa: S603 - the program that lists devices, with fixed words
            [program, "usbmux", "list"],
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=_LIST_S,
            check=False,
        )
        listed = json.loads(done.stdout) if done.returncode == 0 else None
    except (OSError, subprocess.TimeoutExpired, UnicodeDecodeError, ValueError):
        return None
    if not isinstance(listed, list):
        return None
    found = {}
    for device in listed:
        if isinstance(device, dict) and isinstance(device.get("Identifier"), str):
            product = device.get("ProductType") or "unknown model"
            found[device["Identifier"]] = f"{product}, iOS {device.get('ProductVersion', '?')}"
    return found


def merge_records(source: Path, artifacts: Sequence[Path], target: Path) -> list[Record]:
    """Check the records that `devices/ios` wrote, and append them to a file.

    The outputs that it wrote beside its records are compared with the artifacts' references, and
    the statistics are computed anew from the samples.

    Args:
        source: File of records; `PROGRAM-DIGEST.safetensors` with the outputs are beside it, where
            DIGEST are the first 16 digits of the artifact's.
        artifacts: Folders of the measured artifacts.
        target: File to which the records are appended.

    Returns:
        The records, whose `verification` says whether the outputs are right.

    Raises:
        InputError: If a record is not that of an iPhone, or of none of the artifacts and programs.
        ArtifactError: If a folder is not an artifact.
        OutputError: If the file cannot be written.
    """
    opened = {artifact.digest: artifact for artifact in map(Artifact.open, artifacts)}
    records = []
    for number, record in enumerate(read_records(source), 1):
        where = f"{source}, record {number},"
        artifact = opened.get(record.artifact_digest)
        if record.device.partition(":")[0] != "ios" or record.backend != "coreml":
            raise InputError(f"{where} is of {record.backend} on {record.device}, not of an iPhone")
        if artifact is None or artifact.manifest.backend != "coreml":
            raise InputError(f"{where} is of another artifact; give its folder too")
        records.append(_checked(record, artifact, source.parent, where))
    if not records:
        raise InputError(f"{source} has no records; was the benchmark interrupted?")
    append_records(target, records)
    return records


def _checked(record: Record, artifact: Artifact, folder: Path, where: str) -> Record:
    """Return the record with its verification and its statistics."""
    try:
        spec = artifact.program(record.program)
    except ArtifactError as error:
        raise InputError(f"{where} is of the program {record.program!r}: {error}") from error
    outputs = folder / f"{record.program}-{artifact.digest[:16]}.safetensors"
    found = read_outputs(outputs) if outputs.is_file() else None
    return record.model_copy(
        update={
            "artifact": str(artifact.folder),
            "macs": spec.macs,
            "flops": spec.flops,
            "model_bytes": artifact.program_bytes(spec),
            "latency": summarise(record.samples_ms) if record.samples_ms else None,
            "verification": verification_of(
                artifact, record.program, found, artifact.manifest.precision
            ),
        }
    )
