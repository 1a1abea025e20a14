"""Hot and dead pixels: planted ones are repaired; stars, lines, noise and texture are kept."""

import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_pipeline.data.procedural import KINDS
from edge_pipeline.data.raw_synthesis import CAMERAS_TO_SRGB, Shot, clean_camera_rgb, mosaic_of
from edge_pipeline.raw import hot_pixels
from edge_pipeline.raw.capture import Capture, CaptureExif, read_capture
from edge_pipeline.raw.cfa import PATTERNS
from edge_pipeline.raw.hot_pixels import find, repaired
from edge_pipeline.raw.noise import NOISE_LEVELS
from tests.data_files import CHART
from tests.selection import examples

BLACK, WHITE = 1000, 16000
GAINS = (2.0, 1.0, 1.5)


def capture_of(signal, pattern="RGGB"):
    """A capture whose mosaic has these signals, before white balance, 1 = white."""
    mosaic = np.clip(np.rint(signal * (WHITE - BLACK) + BLACK), 0, WHITE).astype(np.uint16)
    black = (float(BLACK),) * 4
    exif = CaptureExif()
    return Capture(mosaic, pattern, black, WHITE, GAINS, None, None, 1, exif, Path("a.raw"))


def scene(kind, level="none", seed=0, size=320):
    """A capture of a procedural picture."""
    picture = KINDS[kind](size, np.random.default_rng([seed, size]))
    shot = Shot(CAMERAS_TO_SRGB[0], GAINS, 1.0, NOISE_LEVELS[level], WHITE - BLACK)
    rng = np.random.default_rng(seed)
    return capture_of(mosaic_of(clean_camera_rgb(picture, shot), shot, rng))


def smooth(height, width, level="low", seed=0):
    """Signals of a shaded grey surface with a soft edge, under the gains of the white balance."""
    y, x = np.indices((height, width))
    grey = 0.25 + 0.15 * np.sin(x / 23) + 0.05 * np.cos(y / 17) + 0.2 / (1 + np.exp(-(x - y) / 3))
    gain = np.where(y % 2 == x % 2, np.where(y % 2, GAINS[2], GAINS[0]), 1.0)
    signal, model = grey / gain, NOISE_LEVELS[level]
    noise = np.random.default_rng(seed).standard_normal((height, width))
    return signal + np.sqrt(model.variance(signal)) * noise


def grid(height, width, step=12, start=0):
    """Positions on a grid whose steps reach every colour and every border."""
    rows, columns = np.meshgrid(
        np.arange(start, height, step - 1), np.arange(start, width, step - 1), indexing="ij"
    )
    return rows.ravel(), columns.ravel()


def found(capture):
    pixels = repaired(capture)[1]
    return set(zip(pixels.rows.tolist(), pixels.columns.tolist(), strict=True))


def planted(capture, rows, columns, strength):
    """The capture with pixels brighter by a share of the range, or dead if it is 0."""
    mosaic = capture.mosaic.astype(np.int64)
    hot = mosaic[rows, columns] + int(strength * (WHITE - BLACK))
    mosaic[rows, columns] = np.minimum(hot, WHITE) if strength else BLACK
    return replace(capture, mosaic=mosaic.astype(np.uint16))


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("strength", [0.2, 1.0, 0])
def test_planted_pixels_are_repaired_to_within_the_noise(pattern, strength):
    top, left = divmod(pattern.index("R"), 2)
    clean = capture_of(smooth(202, 201, "low")[top : top + 201, left : left + 200], pattern)
    rows, columns = grid(201, 200)
    picture, pixels = repaired(planted(clean, rows, columns, strength))
    places = set(zip(rows.tolist(), columns.tolist(), strict=True))
    assert len(places & found(planted(clean, rows, columns, strength))) >= 0.97 * len(places)
    left = np.abs(picture.mosaic.astype(float) - clean.mosaic)[rows, columns] / (WHITE - BLACK)
    deviation = np.sqrt(NOISE_LEVELS["low"].variance(clean.mosaic / WHITE))[rows, columns]
    # A perfect interpolation differs from a noisy pixel by its noise and that of the neighbours.
    assert np.mean(left < 4 * deviation) >= 0.97
    assert pixels.count <= len(places) + 1
    assert (pixels.hot > 0) == (strength > 0)


@pytest.mark.parametrize("offset", [(0, 1), (1, 0), (1, 1), (1, -1), (0, 2), (2, 0), (2, 2)])
def test_clusters_of_two_are_repaired(offset):
    clean = capture_of(smooth(202, 202, "low"))
    rows, columns = grid(196, 196, start=4)
    pairs = np.concatenate([rows, rows + offset[0]]), np.concatenate([columns, columns + offset[1]])
    places = set(zip(*(part.tolist() for part in pairs), strict=True))
    for strength, share in ((0.4, 0.97), (0, 0.95)):
        assert len(places & found(planted(clean, *pairs, strength))) >= share * len(places)


def specks(size=400, seed=0):
    """A grey scene with specks nearly as small as a pixel, of which few are strong (a scan)."""
    rng = np.random.default_rng(seed)
    points = rng.standard_t(2, (size, size)) * (rng.random((size, size)) < 0.2)
    for axis in (0, 1):
        points = 0.15 * (np.roll(points, 1, axis) + np.roll(points, -1, axis)) + 0.7 * points
    y, x = np.indices(points.shape)
    gain = np.where(y % 2 == x % 2, np.where(y % 2, GAINS[2], GAINS[0]), 1.0)
    return np.clip(0.25 + 0.02 * points, 0.01, 0.8) / gain


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_specks_like_many_others_in_the_capture_are_kept_and_defects_among_them_are_not(seed):
    clean = capture_of(specks(seed=seed))
    assert repaired(clean)[1].count <= 2
    rows, columns = grid(400, 400, step=40, start=3)
    places = set(zip(rows.tolist(), columns.tolist(), strict=True))
    assert len(places & found(planted(clean, rows, columns, 1.0))) >= 0.9 * len(places)


def test_no_more_than_the_result_and_a_few_bands_are_in_memory():
    rng = np.random.default_rng(0)
    mosaic = rng.normal(4000, 60, (1600, 2400)).astype(np.uint16)
    capture = replace(capture_of(np.full((2, 2), 0.3)), mosaic=mosaic)
    bad = planted(capture, *grid(1600, 2400, step=60), 1.0)
    tracemalloc.start()
    try:
        assert repaired(bad)[1].count > 500
        assert tracemalloc.get_traced_memory()[1] < mosaic.nbytes + 8e6
    finally:
        tracemalloc.stop()


@examples(20)
@given(row=st.integers(0, 39), column=st.integers(0, 40), strength=st.sampled_from([0.2, 1.0, 0]))
def test_a_pixel_is_repaired_wherever_it_is_including_borders_and_corners(row, column, strength):
    clean = capture_of(smooth(40, 41, "low"))
    bad = planted(clean, np.array([row]), np.array([column]), strength)
    assert (row, column) in found(bad)


@pytest.mark.parametrize("band", [12, 32, 1000])
def test_bands_do_not_change_the_result(monkeypatch, band):
    capture = scene("dead_leaves", "medium")
    rows, columns = grid(320, 320)
    bad = planted(capture, rows, columns, 0.5)
    whole = repaired(bad)
    monkeypatch.setattr(hot_pixels, "_BAND_ROWS", band)
    parts = repaired(bad)
    assert np.array_equal(whole[0].mosaic, parts[0].mosaic)
    assert np.array_equal(whole[1].rows, parts[1].rows)


@pytest.mark.parametrize("level", ["none", "low", "medium", "high"])
def test_noise_alone_is_kept(level):
    assert repaired(capture_of(smooth(400, 400, level)))[1].count <= 1


@pytest.mark.parametrize("blur", [0.5, 0.7, 1.0])
def test_a_star_field_is_kept(blur):
    """Stars at random positions between pixels, from faint to saturated, each a Gaussian."""
    rng = np.random.default_rng(2)
    signal = np.full((240, 240), 0.02)
    y, x = np.indices((15, 15))
    for top in range(0, 240, 15):
        for left in range(0, 240, 15):
            cy, cx = rng.uniform(5, 10, 2)
            fine = np.zeros((15, 15))
            for sy, sx in np.ndindex(5, 5):  # integrated over each pixel's area
                dy, dx = y + (sy - 2) / 5 - cy, x + (sx - 2) / 5 - cx
                fine += np.exp(-(dy**2 + dx**2) / (2 * blur**2)) / 25
            signal[top : top + 15, left : left + 15] += 10 ** rng.uniform(-1.2, 0) * fine
    rows, columns = np.indices(signal.shape)
    odd = rows % 2 == columns % 2
    signal /= np.where(odd, np.where(rows % 2, GAINS[2], GAINS[0]), 1.0)
    signal += 0.002 * rng.standard_normal(signal.shape)
    # 256 stars; at most one in a hundred may lose a pixel.
    assert repaired(capture_of(signal))[1].count <= 3


@pytest.mark.parametrize("slope", [0, 0.21, 0.5, 0.77, 1.0])
@pytest.mark.parametrize("bright", [True, False])
def test_lines_of_one_pixel_are_kept(slope, bright):
    grey = np.full((120, 120), 0.05 if bright else 0.6)
    columns = np.arange(120)
    for start in range(-100, 120, 14):
        rows = np.rint(start + slope * columns).astype(int)
        inside = (rows >= 0) & (rows < 120)
        grey[rows[inside], columns[inside]] = 0.6 if bright else 0.05
    for picture in (grey, grey.T):  # also lines that are steep
        y, x = np.indices(picture.shape)
        gain = np.where(y % 2 == x % 2, np.where(y % 2, GAINS[2], GAINS[0]), 1.0)
        assert repaired(capture_of(picture / gain))[1].count == 0


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("level", ["none", "medium"])
def test_fine_texture_is_kept(kind, level):
    """The mean squared change is below that which lowers 35 dB by 0.02 dB, on the mosaic."""
    capture = scene(kind, level)
    change = (repaired(capture)[0].mosaic.astype(float) - capture.mosaic) / (WHITE - BLACK)
    assert np.mean(change**2) < 10**-3.5 * (10**0.002 - 1) * 10


def test_the_picture_of_a_chart_keeps_its_detail():
    capture = read_capture(CHART)
    picture, pixels = repaired(capture)
    changed = picture.mosaic != capture.mosaic
    assert changed.sum() <= pixels.count < 3e-4 * changed.size
    again = repaired(picture)[1]
    assert again.count < pixels.count / 20


def test_many_repaired_pixels_are_told():
    clean = capture_of(smooth(200, 200))
    few = planted(clean, np.array([50]), np.array([60]), 1.0)
    assert repaired(few)[0].notes == ()
    rows, columns = grid(200, 200)
    many = repaired(planted(clean, rows, columns, 1.0))
    assert many[0].notes[0].startswith(f"{many[1].count} hot or dead pixels")


def test_a_capture_without_defects_is_returned_as_it_is():
    clean = capture_of(np.full((64, 64), 0.3))
    assert repaired(clean)[0] is clean


@pytest.mark.parametrize("shape", [(2, 2), (2, 400), (11, 400), (12, 12), (13, 15)])
def test_small_mosaics_are_processed_without_error(shape):
    mosaic = np.full(shape, 3000, np.uint16)
    mosaic[-1, -1] = 60000
    unit = np.ones((2, 2), np.float32)
    count = find(mosaic, black=0 * unit, scale=unit / 65535).count
    assert count == (min(shape) >= 12)
