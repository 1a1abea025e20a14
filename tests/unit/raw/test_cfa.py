"""Alignment and packing: no pixel lost, moved or given another colour."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from edge_pipeline.errors import InputError
from edge_pipeline.raw.cfa import PATTERNS, align, pack, per_pixel, unpack

RED_ROW_GREEN, BLUE_ROW_GREEN = 1, 2

sizes = st.tuples(st.integers(2, 23), st.integers(2, 23))
patterns = st.sampled_from(PATTERNS)
multiples = st.sampled_from([1, 2, 3, 8, 32])


def colours_of(pattern: str, shape: tuple[int, int]) -> NDArray[np.uint8]:
    """A mosaic whose values are its pixels' CFA positions: 0 R, 1 and 2 the two G, 3 B."""
    height, width = shape
    colours = np.empty(shape, np.uint8)
    for row in range(height):
        for column in range(width):
            letter = pattern[2 * (row % 2) + column % 2]
            has_red = "R" in pattern[2 * (row % 2) : 2 * (row % 2) + 2]
            green = RED_ROW_GREEN if has_red else BLUE_ROW_GREEN
            colours[row, column] = {"R": 0, "B": 3}.get(letter, green)
    return colours


@given(patterns, sizes, multiples)
def test_every_pixel_keeps_its_colour(pattern: str, shape: tuple[int, int], multiple: int) -> None:
    aligned = align(colours_of(pattern, shape), pattern, multiple)
    np.testing.assert_array_equal(aligned.mosaic, colours_of("RGGB", aligned.mosaic.shape))
    assert all(size % multiple == 0 and size % 2 == 0 for size in aligned.mosaic.shape)


@given(patterns, sizes, multiples)
def test_the_picture_is_whole_and_where_it_is_said_to_be(
    pattern: str, shape: tuple[int, int], multiple: int
) -> None:
    mosaic = np.arange(shape[0] * shape[1], dtype=np.uint16).reshape(shape)
    aligned = align(mosaic, pattern, multiple)
    assert (aligned.height, aligned.width) == shape
    assert (aligned.top, aligned.left) == divmod(pattern.index("R"), 2)
    np.testing.assert_array_equal(aligned.mosaic[aligned.window], mosaic)
    assert aligned.mosaic.dtype == mosaic.dtype


@given(st.integers(0, 3), st.integers(0, 3), sizes)
def test_a_crop_aligns_to_the_same_colours_as_the_whole(
    top: int, left: int, shape: tuple[int, int]
) -> None:
    scene = np.arange(40 * 40, dtype=np.uint16).reshape(40, 40)  # RGGB
    order = "RGGB"
    pattern = "".join(
        order[2 * ((top + row) % 2) + (left + column) % 2] for row in (0, 1) for column in (0, 1)
    )
    crop = align(scene[top : top + shape[0], left : left + shape[1]], pattern)
    first_row, first_column = top - crop.top, left - crop.left
    assert first_row % 2 == 0
    assert first_column % 2 == 0
    rows, columns = crop.window
    whole = scene[top : top + shape[0], left : left + shape[1]]
    np.testing.assert_array_equal(crop.mosaic[rows, columns], whole)
    if crop.top == crop.left == 0 and not shape[0] % 2 and not shape[1] % 2:
        np.testing.assert_array_equal(
            pack(crop.mosaic),
            pack(scene)[:, top // 2 : (top + shape[0]) // 2, left // 2 : (left + shape[1]) // 2],
        )


@given(
    hnp.arrays(
        st.sampled_from([np.uint16, np.float32]),
        st.tuples(st.integers(1, 9), st.integers(1, 9)).map(lambda s: (2 * s[0], 2 * s[1])),
        elements=st.integers(0, 1000),
    )
)
def test_packing_round_trips(mosaic: NDArray[np.float32]) -> None:
    packed = pack(mosaic)
    assert packed.shape == (4, mosaic.shape[0] // 2, mosaic.shape[1] // 2)
    np.testing.assert_array_equal(unpack(packed), mosaic)
    np.testing.assert_array_equal(unpack(np.stack([packed, packed]))[1], mosaic)


def test_planes_are_red_two_greens_blue() -> None:
    packed = pack(colours_of("RGGB", (6, 8)))
    for plane in range(4):
        assert (packed[plane] == plane).all()


@given(patterns, sizes)
def test_values_spread_to_their_positions(pattern: str, shape: tuple[int, int]) -> None:
    spread = per_pixel((0, 1, 2, 3), pattern, shape)
    np.testing.assert_array_equal(spread, colours_of(pattern, shape))


def test_repeating_the_edge_would_be_seen() -> None:
    """Planted fault: padding that repeats the edge pixel breaks the parity."""
    wrong = np.pad(colours_of("BGGR", (4, 4)), 1, mode="symmetric")
    assert (wrong != colours_of("RGGB", (6, 6))).any()


@pytest.mark.parametrize("shape", [(1, 4), (4, 1), (0, 0), (4,), (2, 2, 2)])
def test_no_whole_cell_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="no whole Bayer cell"):
        align(np.zeros(shape), "RGGB")


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(InputError, match="'RGBG'; expected one of RGGB, BGGR"):
        align(np.zeros((4, 4)), "RGBG")
    with pytest.raises(InputError, match="multiples of 0"):
        align(np.zeros((4, 4)), "RGGB", 0)
    with pytest.raises(InputError, match="must be even"):
        pack(np.zeros((3, 4)))
    with pytest.raises(InputError, match="not packed Bayer"):
        unpack(np.zeros((3, 4, 4)))
