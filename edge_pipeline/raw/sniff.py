"""Identify files that are not RAW captures, for a helpful message."""

from __future__ import annotations

import mmap

from edge_pipeline.raw.tiff import Directory

__all__ = [
    "BEGINNINGS",
    "HEADERLESS_HINT",
    "describe_foreign",
    "is_ciff",
    "measured_from_end",
    "names_a_camera",
]

HEADERLESS_HINT = "for a headerless capture give --width, --height, --bits, --packing and --cfa"
_MAKE, _PHOTOMETRIC, _CFA, _DNG_VERSION = 271, 262, 32803, 50706
_SIGNATURES: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\xff\xd8\xff", "a JPEG picture"),
    (0, b"\x89PNG\r\n", "a PNG picture"),
    (0, b"GIF8", "a GIF picture"),
    (0, b"BM", "a BMP picture"),
    (8, b"WEBP", "a WebP picture"),
    (4, b"ftypheic", "a HEIC picture"),
    (4, b"ftypmif1", "a HEIC picture"),
    (4, b"ftypavif", "an AVIF picture"),
    (4, b"ftypcrx", "a CR3 capture of a kind that LibRaw does not know"),
    (4, b"ftyp", "a video or another ISO media file"),
    (0, b"%PDF", "a PDF document"),
    (0, b"PK\x03\x04", "a ZIP archive"),
    (0, b"\x1f\x8b", "a gzip archive"),
    (0, b"\x7fELF", "a program"),
    (0, b"\x93NUMPY", "a NumPy array"),
    (0, b"FUJIFILM", "a RAF capture of a kind that LibRaw does not know"),
    (0, b"FOVb", "a Foveon capture; only Bayer sensors are supported"),
    (0, b"II*\0", "a TIFF file without a Bayer capture"),
    (0, b"MM\0*", "a TIFF file without a Bayer capture"),
)
# First bytes of RAW files: TIFF, RAF, X3F, MRW and others that LibRaw opens even if truncated.
BEGINNINGS = (b"II", b"MM", b"FUJIFILM", b"FOVb", b"\0MRM", b"RIFF", b"\0\0\0\x18ftypcrx")
# Formats whose directory is located from the end of the file: Canon CRW, Sigma X3F.
_CIFF = (6, b"HEAPCCDR")
_FROM_END: tuple[tuple[int, bytes], ...] = (_CIFF, (0, b"FOVb"))


def _has(head: bytes, offset: int, signature: bytes) -> bool:
    return head[offset : offset + len(signature)] == signature


def _is_text(head: bytes) -> bool:
    try:
        text = head.decode("utf-8")
    except UnicodeDecodeError as error:
        # The end of the head may cut a character in two.
        text = head[: error.start].decode("utf-8") if len(head) - error.start < 4 else ""
    return bool(text) and all(c.isprintable() or c in "\r\n\t\f" for c in text)


def describe_foreign(data: bytes | mmap.mmap) -> str:
    """Return a clause without its subject, `FILE`, that names the file's format and a remedy.

    Args:
        data: Bytes of the file.
    """
    head = bytes(data[:512])
    for offset, signature, name in _SIGNATURES:
        if _has(head, offset, signature):
            return f"is {name}, not a RAW capture; give the camera's own RAW file"
    if _is_text(head):
        return "is a text file, not a RAW capture; give the camera's own RAW file"
    return (
        "is not a RAW capture that LibRaw knows; give the camera's own RAW file, "
        f"or {HEADERLESS_HINT}"
    )


def names_a_camera(directories: list[Directory]) -> bool:
    """Return whether the tags show that a camera wrote the file: a maker, DNG, or a CFA."""
    return any(
        directory.text(_MAKE)
        or _DNG_VERSION in directory.tags
        or _CFA in directory.numbers(_PHOTOMETRIC)
        for directory in directories
    )


def is_ciff(data: bytes | mmap.mmap) -> bool:
    """Return whether the file begins like a Canon CRW file, whose directory is at its end."""
    return _has(bytes(data[:16]), *_CIFF)


def measured_from_end(data: bytes | mmap.mmap) -> bool:
    """Return whether LibRaw cannot read the file if a byte is appended to it."""
    return any(_has(bytes(data[:16]), offset, signature) for offset, signature in _FROM_END)
