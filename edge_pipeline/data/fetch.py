"""Fetching of data sets from their public homes, file by file and checked."""

from __future__ import annotations

import fnmatch
import hashlib
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from edge_pipeline.data.sets import DataFile, DataSet
from edge_pipeline.errors import InputError, JobError, OutputError, first_line
from edge_pipeline.optional import require

__all__ = ["check_fetchable", "check_of", "fetch", "is_right", "thumbnail"]

# Rows and columns of a thumbnail, and the mean difference in codes below which a picture is taken
# for the same in another encoding or scaling.
_THUMBNAIL = 4
_SAME_LOOK = 6.0
_PICTURES = {".png", ".jpg", ".jpeg"}


def thumbnail(picture: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return the mean colours of 4 x 4 parts of a picture.

    Args:
        picture: Picture [H, W, 3] or [H, W].

    Returns:
        Array [4, 4, 3] in codes.
    """
    rows, columns = (np.linspace(0, side, _THUMBNAIL + 1).astype(int) for side in picture.shape[:2])
    colour = picture if picture.ndim == 3 else np.repeat(picture[..., None], 3, axis=2)
    parts = [
        colour[rows[i] : rows[i + 1], columns[j] : columns[j + 1]].mean((0, 1))
        for i in range(_THUMBNAIL)
        for j in range(_THUMBNAIL)
    ]
    return np.array(parts).reshape(_THUMBNAIL, _THUMBNAIL, 3)


def check_of(path: Path, kind: str) -> str:
    """Return the `check` of a file, of the kind `sha256`, `pixels` or `look`.

    Raises:
        OSError: If the file cannot be read as a picture, for `pixels` and `look`.
    """
    if kind == "sha256":
        return f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"
    with Image.open(path) as image:
        if kind == "pixels":
            pixels = np.asarray(image)
            header = f"{pixels.dtype} {pixels.shape} ".encode()
            return f"pixels:{hashlib.sha256(header + pixels.tobytes()).hexdigest()}"
        codes = thumbnail(np.asarray(image.convert("RGB"))).round().astype(np.uint8)
    return f"look:{codes.tobytes().hex()}"


def is_right(path: Path, check: str) -> bool:
    """Return whether a file exists and is the one that `check` describes."""
    kind, _, expected = check.partition(":")
    if not path.is_file():
        return False
    try:
        found = check_of(path, kind)
    except (OSError, UnidentifiedImageError):
        return False
    if kind != "look":
        return found == check
    first, second = (
        np.frombuffer(bytes.fromhex(codes), np.uint8).astype(float)
        for codes in (found.removeprefix("look:"), expected)
    )
    return float(np.abs(first - second).mean()) < _SAME_LOOK


def check_fetchable(data: DataSet) -> None:
    """Raise an error if a data set has no public home to fetch it from.

    Raises:
        InputError: See above; the message says where to get the set.
    """
    if not data.files:
        raise InputError(
            f"the data set {data.name} cannot be fetched; get it from {data.home} and place it in "
            f"{data.place}"
        )


def fetch(
    data: DataSet, *, source: str | None = None, on_file: Callable[[str], None] = lambda _: None
) -> int:
    """Fetch the files of a data set that are missing or damaged.

    A fetch that was interrupted continues: files that are right are not fetched again.

    Args:
        data: The data set.
        source: URL of a mirror in place of the public home: a folder with the set's files, or the
            archive.
        on_file: Called with the path of each file once it is in its place.

    Returns:
        Number of files that were fetched.

    Raises:
        InputError: If the set has no public home to fetch from.
        JobError: If a file cannot be fetched, or is not the one that the table describes.
        MissingExtraError: If pooch is not installed.
        OutputError: If a file cannot be written.
    """
    check_fetchable(data)
    pooch = require("pooch", "train", "fetching data sets")
    pooch.get_logger().setLevel("ERROR")
    missing = [file for file in data.files if not is_right(data.place / file.path, file.check)]
    if not missing:
        return 0
    try:
        data.place.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".fetch-", dir=data.place) as temporary:
            originals = _originals(pooch, data, missing, source, Path(temporary))
            for file, paths in originals:
                _place(data, file, paths, Path(temporary))
                on_file(file.path)
    except OSError as error:
        raise OutputError(f"{data.place} cannot be written: {error.strerror or error}") from error
    return len(missing)


def _originals(
    pooch: Any, data: DataSet, missing: list[DataFile], source: str | None, temporary: Path
) -> Iterator[tuple[DataFile, list[Path]]]:
    """Yield each missing file with its downloaded originals."""
    if data.archive is None:
        for file in missing:
            url = f"{source.rstrip('/')}/{file.path}" if source else file.source
            known = file.check if file.check.startswith("sha256:") else None
            yield file, [_download(pooch, url, known, temporary)]
        return
    archive = _download(pooch, source or data.archive, None, temporary)
    with _opened(archive, source or data.archive) as members:
        names = members.namelist()
        for file in missing:
            found = fnmatch.filter(names, file.source)
            if not found:
                raise JobError(f"{source or data.archive} has no file {file.source}")
            yield file, [Path(members.extract(name, temporary)) for name in found]


@contextmanager
def _opened(archive: Path, url: str) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(archive) as members:
            yield members
    except zipfile.BadZipFile as error:
        raise JobError(f"{url} is damaged or not a ZIP file") from error


def _download(pooch: Any, url: str, known: str | None, folder: Path) -> Path:
    try:
        return Path(pooch.retrieve(url, known_hash=known, path=folder, progressbar=False))
    except ValueError as error:
        raise JobError(f"{url} is not the expected file: {first_line(error)}") from error
    except Exception as error:  # requests has a tree of its own, and is no dependency of ours
        raise JobError(f"{url} cannot be fetched: {first_line(error)}") from error


def _place(data: DataSet, file: DataFile, originals: list[Path], temporary: Path) -> None:
    """Prepare a file beside its place, check it, and rename it into its place."""
    target, ready = data.place / file.path, temporary / f"ready{Path(file.path).suffix}"
    try:
        _prepare(originals, ready, data.short_side)
    except UnidentifiedImageError as error:
        raise JobError(f"{file.source} is not a picture") from error
    if not is_right(ready, file.check):
        raise JobError(f"{file.source} differs from the file that the table of {data.name} lists")
    target.parent.mkdir(parents=True, exist_ok=True)
    ready.replace(target)
    for original in originals:
        original.unlink(missing_ok=True)


def _prepare(originals: list[Path], ready: Path, short_side: int | None) -> None:
    """Write the set's file from its originals: merged, scaled down, or unchanged."""
    first = originals[0]
    if len(originals) > 1:
        merged = np.maximum.reduce([np.asarray(Image.open(path)) for path in originals])
        Image.fromarray(merged).save(ready)
    elif short_side is not None and ready.suffix in _PICTURES:
        with Image.open(first) as opened:
            picture = ImageOps.exif_transpose(opened).convert("RGB")
        share = short_side / min(picture.size)
        size = tuple(max(short_side, round(side * share)) for side in picture.size)
        picture.resize((size[0], size[1]), Image.Resampling.LANCZOS, reducing_gap=3.0).save(ready)
    else:
        first.replace(ready)
