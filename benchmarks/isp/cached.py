"""Cache of developed pictures on disk, with keys made of the capture and the method's code."""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path

import numpy as np

from benchmarks.isp.captures import Method, Rgb, Take
from edge_pipeline.data.raw_synthesis import SyntheticCapture
from edge_pipeline.files import atomic_file, sha256_of

__all__ = ["cached", "default_cache"]

_STEPS = 65535
_LARGEST_PIXELS = 1_100_000  # whole captures of cameras are not cached, to save disk space


def default_cache() -> Path:
    """Return the default folder of the cache, which is outside the repository."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "edge-pipeline" / "benchmarks"


def _key(name: str, code: str, sample: SyntheticCapture) -> str:
    digest = hashlib.sha256(f"{name}\n{code}\n".encode())
    for array in (sample.packed, sample.camera_to_srgb):
        digest.update(repr(array.shape).encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    if isinstance(sample, Take):
        digest.update(repr((sample.noise, sample.exposure_ev)).encode())
    return digest.hexdigest()


def cached(name: str, method: Method, folder: Path) -> Method:
    """Return a method that computes each picture once and then reads it from the cache.

    A change to the file that defines the method invalidates its pictures.

    Args:
        name: Name of the method.
        method: Method that returns the same picture for the same capture.
        folder: Folder of the cache, which is created; pictures have 16 bits per channel.
    """
    source = sys.modules[method.__module__].__file__
    code = "" if source is None else sha256_of(Path(source))

    def develop(sample: SyntheticCapture) -> Rgb:
        if sample.packed[0].size * 4 > _LARGEST_PIXELS:
            return method(sample)
        path = folder / f"{_key(name, code, sample)}.npy"
        if path.is_file():
            kept = np.load(path, allow_pickle=False)
            return np.asarray(kept / _STEPS, np.float32)
        picture = method(sample)
        with atomic_file(path) as temporary:
            np.save(temporary, np.round(picture * _STEPS).astype(np.uint16), allow_pickle=False)
        return picture

    return develop
