"""Find the captures in folders."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edge_pipeline import gather as files
from edge_pipeline.errors import CaptureError
from edge_pipeline.gather import Gathered, Kind

__all__ = ["HEADERLESS_SUFFIXES", "RAW_SUFFIXES", "gather"]

# Suffixes of the formats that LibRaw reads, except those that are also pictures (.tif, .jpg) or
# videos (.ari, .cine). Source: LibRaw, supported cameras; KDE libkdcraw, rawfiles.h.
_SUFFIXES = """
    .3fr .arw .bay .bmq .cap .cr2 .cr3 .crw .cs1 .dc2 .dcr .dcs .dng .drf .erf .fff .gpr .ia .iiq
    .k25 .kc2 .kdc .mdc .mef .mos .mrw .nef .nrw .orf .ori .pef .ptx .pxn .qtk .raf .raw .rdc .rw2
    .rwl .rwz .sr2 .srf .srw .sti .x3f
"""
RAW_SUFFIXES = frozenset(_SUFFIXES.split())
# Suffixes of files whose contents options or a profile describe.
HEADERLESS_SUFFIXES = frozenset({".raw"})

_RAW = Kind(RAW_SUFFIXES, "RAW file, by the suffix of its name", CaptureError)
_HEADERLESS = Kind(HEADERLESS_SUFFIXES, "headerless file (.raw)", CaptureError)


def gather(inputs: Sequence[Path], output: Path | None, *, headerless: bool = False) -> Gathered:
    """Return the captures among files and in folders; see `edge_pipeline.gather.gather`.

    Args:
        inputs: Paths of files and folders.
        output: Path of the output folder; None if there is none.
        headerless: Whether options or a profile describe the captures; then only files with
            `HEADERLESS_SUFFIXES` are included from folders.

    Raises:
        CaptureError: If a folder could be read and contains no capture, or if there is no capture
            at all.
    """
    return files.gather(inputs, output, _HEADERLESS if headerless else _RAW)
