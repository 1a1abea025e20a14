"""Bare pixel values: packings, sizes, and the four orders of one scene."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge_pipeline.errors import CaptureError
from edge_pipeline.raw.capture import normalise, read_headerless
from edge_pipeline.raw.cfa import PATTERNS, align, pack
from edge_pipeline.raw.headerless import PACKINGS
from edge_pipeline.raw.profile import CameraProfile, load_profile, parse_profile
from tests.data_files import data_file

BITS = {"u8": 8, "u16le": 16, "u16be": 16, "mipi10": 10, "mipi12": 12, "packed12le": 12}


def profile(**fields: object) -> CameraProfile:
    given: dict[str, object] = {"width": 8, "height": 4, "bits": 16, "cfa": "rggb", "wb": (2, 1, 1)}
    return parse_profile({**given, **fields}, "the test")


def encode(values: NDArray[np.uint16], packing: str) -> bytes:
    """A slow restatement of the layouts, bit by bit."""
    out = bytearray()
    for row in values.tolist():
        if packing == "u8":
            out += bytes(row)
        elif packing.startswith("u16"):
            order = "little" if packing == "u16le" else "big"
            for value in row:
                out += value.to_bytes(2, order)
        elif packing == "packed12le":
            padded = row + [0] * (len(row) % 2)
            for i in range(0, len(padded), 2):
                out += (padded[i] | padded[i + 1] << 12).to_bytes(3, "little")
        else:
            size, low = (4, 2) if packing == "mipi10" else (2, 4)
            padded = row + [0] * (-len(row) % size)
            for i in range(0, len(padded), size):
                group = padded[i : i + size]
                out += bytes(value >> low for value in group)
                out.append(
                    sum((value & (1 << low) - 1) << low * k for k, value in enumerate(group))
                )
    return bytes(out)


@given(st.data(), st.sampled_from(sorted(PACKINGS)), st.integers(2, 13), st.integers(2, 6))
def test_packings_round_trip(data: st.DataObject, packing: str, width: int, height: int) -> None:
    seed = data.draw(st.integers(0, 1000))
    bits = BITS[packing]
    values = np.random.default_rng(seed).integers(0, 1 << bits, (height, width)).astype(np.uint16)
    encoded = encode(values, packing)
    form = PACKINGS[packing]
    assert len(encoded) == form.row_bytes(width) * height
    groups = np.frombuffer(encoded, np.uint8).reshape(height, -1, form.bytes)
    np.testing.assert_array_equal(form.unpack(groups).reshape(height, -1)[:, :width], values)


@pytest.mark.parametrize("packing", sorted(PACKINGS))
def test_files_in_every_packing(packing: str, tmp_path: Path) -> None:
    bits = BITS[packing]
    values = np.random.default_rng(0).integers(0, 1 << bits, (5, 7)).astype(np.uint16)
    path = tmp_path / "a.raw"
    path.write_bytes(encode(values, packing))
    capture = read_headerless(
        path, profile(width=7, height=5, bits=bits, packing=packing, cfa="gbrg", black=3)
    )
    np.testing.assert_array_equal(capture.mosaic, values)
    assert capture.mosaic.dtype == np.uint16
    assert (capture.pattern, capture.black) == ("GBRG", (3, 3, 3, 3))
    assert (capture.white, capture.wb) == ((1 << bits) - 1, (2, 1, 1))
    assert (capture.orientation, capture.daylight_wb, capture.source) == (1, None, path)


def test_another_size_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.raw"
    path.write_bytes(bytes(63))
    with pytest.raises(CaptureError, match=r"63 bytes, but 8 x 4 pixels in u16le take 64; check"):
        read_headerless(path, profile())
    path.write_bytes(bytes(40))
    with pytest.raises(CaptureError, match=r"take 64; the file's size fits --packing mipi10"):
        read_headerless(path, profile())
    path.write_bytes(b"")
    with pytest.raises(CaptureError, match="is empty"):
        read_headerless(path, profile())
    with pytest.raises(CaptureError, match="is a folder"):
        read_headerless(tmp_path, profile())


def test_too_large_values_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.raw"
    path.write_bytes(np.full((4, 8), 0x0102, ">u2").tobytes())
    assert read_headerless(path, profile(bits=10, packing="u16be")).mosaic.max() == 0x0102
    path.write_bytes(np.full((4, 8), 0x0401, "<u2").tobytes())
    with pytest.raises(CaptureError, match="up to 1025, more than 10 bits hold; check --bits"):
        read_headerless(path, profile(bits=10))


def test_without_white_balance_the_world_is_grey(tmp_path: Path) -> None:
    path = tmp_path / "a.raw"
    cell = np.tile(np.array([[110, 210], [210, 60]], "<u2"), (2, 4))
    path.write_bytes(cell.tobytes())
    capture = read_headerless(path, profile(wb=None, black=10))
    assert capture.wb == pytest.approx((2, 1, 4))
    assert any("assumed to be grey" in note for note in capture.notes)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_the_rose_has_the_same_samples_in_all_four_orders(pattern: str) -> None:
    """The publisher exchanged the planes: a cell holds the same four samples, moved within it.

    So after alignment R and B agree to the last bit at their distance of whole cells, which is
    the one-pixel shift of the mosaic, and each G plane with one of the two G planes.
    """
    known = load_profile("dsc_1339")
    folder = data_file("captures")
    reference = read_headerless(folder / "DSC_1339_768x512_rggb.raw", known)
    red, first, second, blue = pack(align(reference.mosaic, "RGGB").mosaic)
    other = read_headerless(
        folder / f"DSC_1339_768x512_{pattern.lower()}.raw",
        known.model_copy(update={"cfa": pattern}),
    )
    aligned = align(other.mosaic, pattern)
    assert aligned.mosaic[aligned.window].shape == (512, 768)
    planes = pack(aligned.mosaic)
    # All planes start one cell later where a row or a column was added before the picture, unless
    # their colour lies in the added cell's second row or column, which is the picture's first.
    for plane, position, candidates in zip(
        planes, range(4), ([red], [first, second], [first, second], [blue]), strict=True
    ):
        row, column = divmod(position, 2)
        down, right = int(aligned.top > row), int(aligned.left > column)
        moved = plane[down : down + 256, right : right + 384]
        assert any(np.array_equal(moved, candidate) for candidate in candidates)


def test_the_rose_is_red() -> None:
    capture = read_headerless(
        data_file("captures/DSC_1339_768x512_rggb.raw"), load_profile("dsc_1339")
    )
    red, first, _, blue = pack(normalise(capture, capture.wb))[:, 90:110, 115:135]
    assert red.mean() > 3 * max(first.mean(), blue.mean())


def test_the_chart_is_grey() -> None:
    capture = read_headerless(
        data_file("captures/test_1920x1080_10b.RAW"), load_profile("chart_10bit")
    )
    assert capture.mosaic.shape == (1080, 1920)
    planes = pack(normalise(capture, capture.wb))[:, 164:176, 164:176]  # the patch at the left
    means = planes.mean(axis=(1, 2))
    assert means.max() / means.min() < 1.05
