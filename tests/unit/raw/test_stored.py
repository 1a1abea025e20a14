"""Arrays in files: equal to those in memory, read-only, and without a name."""

import os

import numpy as np
import pytest

from edge_pipeline.errors import JobError
from edge_pipeline.raw import stored
from edge_pipeline.raw.stored import like, load, release, row_bands


@pytest.fixture
def mosaic(tmp_path):
    values = np.random.default_rng(0).integers(0, 9999, (41, 30)).astype(np.uint16)
    np.save(tmp_path / "a.npy", values)
    made = load(tmp_path / "a.npy")
    (tmp_path / "a.npy").unlink()
    return values, made


def test_a_file_is_read_and_its_name_is_not_needed(mosaic):
    values, made = mosaic
    np.testing.assert_array_equal(made, values)
    release(made)
    np.testing.assert_array_equal(made, values)
    with pytest.raises(ValueError, match="read-only"):
        made[0, 0] = 1


def test_other_values_are_in_a_file_if_the_first_are(mosaic, tmp_path, monkeypatch):
    values, made = mosaic
    monkeypatch.setattr(stored.tempfile, "tempdir", str(tmp_path))
    changed = like(made[:, :], (made[rows] + 1 for rows in row_bands(made)))
    np.testing.assert_array_equal(changed, values + 1)
    assert not changed.flags.writeable
    again = like(changed, [changed])
    np.testing.assert_array_equal(again, values + 1)
    in_memory = like(values, [values[:7], values[7:]])
    np.testing.assert_array_equal(in_memory, values)
    assert in_memory.flags.writeable
    assert list(tmp_path.iterdir()) == []


def test_bands_have_whole_cells(monkeypatch):
    monkeypatch.setattr(stored, "_BAND_VALUES", 95)
    array = np.zeros((41, 30))
    bands = [(rows.start, rows.stop) for rows in row_bands(array)]
    assert bands[0] == (0, 2)
    assert bands[-1] == (40, 41)
    assert all(start % 2 == 0 for start, _ in bands)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")  # noqa: PTH110
def test_a_full_disk_is_a_failed_job(mosaic, monkeypatch):
    _, made = mosaic
    monkeypatch.setattr(
        stored.tempfile,
        "TemporaryFile",
        lambda **_options: open("/dev/full", "wb", 0),  # noqa: PTH123, SIM115
    )
    with pytest.raises(JobError, match="cannot hold the capture: No space left on device"):
        like(made, [made])
