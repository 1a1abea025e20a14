"""Damaged copies of captures: truncated, with other bytes, and with other numbers in their tags."""

from __future__ import annotations

import random

__all__ = ["KINDS", "mutate"]

KINDS = ("cut", "bytes", "tail", "numbers", "field", "zeros", "shift")

_HEAD = 4096
_NUMBERS = (0, 1, 2, 3, 4, 6, 9, 0xFF, 0x100, 0x7FFF, 0xFFFF, 0x10000, 0x7FFFFFFF, 0xFFFFFFFF)


def mutate(data: bytes, seed: int, kind: str) -> bytes:
    """Return a damaged copy of a file's bytes.

    Args:
        data: The file's bytes.
        seed: Determines the damage.
        kind: `cut` removes the end; `bytes` and `tail` replace bytes among the first and the last
            4096; `numbers` writes numbers of two or four bytes there; `field` changes an entry of a
            TIFF directory that begins at byte 8; `zeros` clears a range; `shift` removes a few
            bytes.
    """
    rng = random.Random(f"{seed} {kind}")  # noqa: S311 - not for secrets
    broken = bytearray(data)
    head = min(_HEAD, len(data))
    at = rng.randrange(head)
    if kind == "cut":
        return data[: rng.randrange(1, len(data))]
    if kind == "shift":
        return data[:at] + data[at + rng.randrange(1, 9) :]
    if kind == "zeros":
        length = min(rng.randrange(1, 256), head - at)
        broken[at : at + length] = bytes(length)
    elif kind in ("bytes", "tail"):
        for _ in range(rng.randrange(1, 16)):
            place = rng.randrange(head)
            broken[place if kind == "bytes" else -1 - place] = rng.randrange(256)
    else:
        for _ in range(rng.randrange(1, 4)):
            size = rng.choice((2, 4))
            number = rng.choice(_NUMBERS) & (1 << 8 * size) - 1
            entry = 10 + 12 * rng.randrange(48) + rng.choice((0, 2, 4, 8))
            at = entry if kind == "field" else rng.randrange(head - size)
            at = min(at, len(data) - size)
            broken[at : at + size] = number.to_bytes(size, rng.choice(("little", "big")))
    return bytes(broken)
