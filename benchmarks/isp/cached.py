"""Methods whose pictures are kept on disk, by the content of the capture and of the method."""

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
_LARGEST_PIXELS = 1_100_000  # a whole capture of a camera would fill the disk


def default_cache() -> Path:
    """A folder outside the repository."""
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
    """A method that computes each picture once.

    A change to the file that defines the method makes it compute again.

    Args:
        name: of the method.
        method: gives the same picture for the same capture.
        folder: is created; pictures are kept with 16 bits a channel.
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
