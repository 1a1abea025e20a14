"""Reading of picture files: PNG, JPEG, TIFF, BMP and WebP."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from PIL.TiffImagePlugin import TiffImageFile

from edge_pipeline.errors import EdgePipelineError, InputError, JobError
from edge_pipeline.segmentation.pictures import Orientation, Picture

__all__ = ["MAX_PIXELS", "PICTURE_SUFFIXES", "read_picture"]

PICTURE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp"})
# Pillow refuses twice its `Image.MAX_IMAGE_PIXELS`; this is that number.
MAX_PIXELS = 178_956_970

_FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "WEBP")
_TIFF_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_MODES = frozenset({"1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr"})
_ORIENTATION, _PHOTOMETRIC, _PLANAR, _BITS = 274, 262, 284, 258
# None, deflate in both numbers, and PackBits: tifffile decodes others with further packages only.
_COMPRESSIONS = (1, 8, 32946, 32773)
_WIDE = 65535
_WHITE_IS_ZERO = 0
_PLANES_FIRST = 2


def read_picture(path: Path, *, max_pixels: int = MAX_PIXELS) -> Picture:
    """Read a picture of 8 or 16 bits a channel, in colour, in grey or with a palette.

    The EXIF orientation is applied. Transparency and colour profiles are ignored; CMYK is converted
    by its formula. Of several pages, the first one is read.

    Args:
        path: PNG, JPEG, TIFF, BMP or WebP file; its name does not matter.
        max_pixels: Largest number of pixels, at most `MAX_PIXELS`.

    Raises:
        InputError: If the file cannot be read, is no such picture, is damaged, or has more pixels
            or other values.
        JobError: If the memory does not suffice.
    """
    with _one_sentence(path):
        with path.open("rb") as file:
            head = file.read(4)
        if not head:
            raise InputError(f"{path} is empty; give a picture")
        try:
            return _read_by_pillow(path, max_pixels)
        except UnidentifiedImageError:
            if head not in _TIFF_MAGIC:
                raise InputError(
                    f"{path} is not a picture in PNG, JPEG, TIFF, BMP or WebP"
                ) from None
        return _read_by_tifffile(path, max_pixels)


@contextmanager
def _one_sentence(path: Path) -> Iterator[None]:
    """Turn each error of a decoder into one sentence that does not have the decoder's words."""
    try:
        yield
    except EdgePipelineError:
        raise
    except MemoryError as error:
        raise JobError(
            f"not enough memory to read {path}; close other programs, or cut it into smaller "
            "pictures"
        ) from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _too_large(path, MAX_PIXELS) from error
    except OSError as error:
        if error.errno is not None and error.errno != errno.EINVAL:
            raise InputError(f"cannot read {path}: {error.strerror}") from error
        raise _damaged(path) from error
    except Exception as error:  # damaged files make the decoders raise almost anything
        raise _damaged(path) from error


def _damaged(path: Path) -> InputError:
    return InputError(f"{path} is damaged or incomplete; save it again")


def _too_large(path: Path, limit: int) -> InputError:
    return InputError(f"{path} has more than {limit} pixels; cut it into smaller pictures")


def _check_size(path: Path, width: int, height: int, limit: int) -> None:
    if width < 1 or height < 1:
        raise _damaged(path)
    if width * height > limit:
        raise _too_large(path, limit)


def _read_by_pillow(path: Path, max_pixels: int) -> Picture:
    # The block closes the file; the decoded picture remains.
    with Image.open(path, formats=_FORMATS) as image:
        _check_size(path, *image.size, max_pixels)
        tiff = isinstance(image, TiffImageFile)
        if isinstance(image, TiffImageFile) and _read_wrongly(image):
            return _read_by_tifffile(path, max_pixels)
        pages = getattr(image, "n_frames", 1) if tiff else 1
        image.load()
        # Read now, because loading applies the orientation of a TIFF and removes the tag.
        orientation = Orientation.of(image.getexif().get(_ORIENTATION))
    wide = image.mode.startswith("I")
    if image.mode not in _MODES and not wide:
        raise _wrong_values(path)
    if image.mode == "I":  # 32 bits, in which older versions of Pillow hold 16
        codes = np.asarray(image)
        if codes.min() < 0 or codes.max() > _WIDE:
            raise _wrong_values(path)
    return Picture(image, _WIDE if wide else 255, orientation, _notes(pages))


def _read_wrongly(image: TiffImageFile) -> bool:
    """Return whether Pillow, as of version 13, opens a TIFF of 16 bits and reads it wrongly.

    It does not invert grey in which white is zero, and takes planes for pixels.
    """
    tags = image.tag_v2
    inverted, planes = tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO, tags.get(_PLANAR) == _PLANES_FIRST
    return max(tags.get(_BITS, (1,))) > 8 and (inverted or planes)


def _read_by_tifffile(path: Path, max_pixels: int) -> Picture:
    """Read what Pillow does not: 16 bits in colour, planes, more than four channels, BigTIFF."""
    with tifffile.TiffFile(path) as file:
        page: Any = file.pages[0]
        _check_size(path, page.imagewidth, page.imagelength, max_pixels)
        if page.dtype is None or page.dtype not in (np.uint8, np.uint16) or page.imagedepth != 1:
            raise _wrong_values(path)
        if page.compression not in _COMPRESSIONS:
            raise InputError(
                f"{path} is compressed in a way that is not read with 16 bits a channel or more "
                "than 4 channels; save it without compression"
            )
        tag = page.tags.get(_ORIENTATION)
        codes: NDArray[Any] = page.asarray()
        if codes.ndim == 3 and page.planarconfig == _PLANES_FIRST:
            codes = codes.transpose(1, 2, 0)
        if page.photometric == _WHITE_IS_ZERO:
            codes = np.iinfo(codes.dtype).max - codes
        pages = len(file.pages)
    orientation = Orientation.of(None if tag is None else int(tag.value))
    return Picture(
        _channels(codes, path), int(np.iinfo(codes.dtype).max), orientation, _notes(pages)
    )


def _channels(codes: NDArray[Any], path: Path) -> NDArray[Any]:
    """Return codes [H, W] or [H, W, 3]; further channels are transparency or unknown."""
    if codes.ndim == 3 and codes.shape[2] in (1, 2):
        return codes[..., 0]
    if codes.ndim == 3 and codes.shape[2] in (3, 4):
        return codes[..., :3]
    if codes.ndim != 2:
        raise InputError(
            f"{path} has {codes.shape[-1]} channels; save it in grey or in colour (RGB)"
        )
    return codes


def _wrong_values(path: Path) -> InputError:
    return InputError(
        f"{path} has values that are not integers of 8 or 16 bits; save it with 8 or 16 bits a "
        "channel"
    )


def _notes(pages: int) -> tuple[str, ...]:
    return () if pages == 1 else (f"it has {pages} pages, of which the first one is segmented",)
