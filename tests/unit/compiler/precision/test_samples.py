import numpy as np
import pytest
from PIL import Image

pytest.importorskip("torch", reason="compiling needs torch")

from edge_pipeline.compiler.precision.samples import (
    bundled_files,
    listed_files,
    mask_file,
    read_mask,
    read_picture,
    sample_inputs,
)
from edge_pipeline.compiler.source.geometry import Geometry
from edge_pipeline.errors import CaptureError, InputError
from edge_pipeline.models.network import Port

CHART = bundled_files("packed_bayer_white_balanced")


def geometry(space, channels, **more):
    ports = (Port("x", channels, "", space), *more.pop("others", ()))
    return Geometry(ports, ports, more.pop("stride", 1), 1, 1, None, (64, 96), True)


def test_a_folder_stands_for_the_files_in_it(tmp_path):
    for name in ("b.png", "a.jpg", "a.mask.png", ".hidden"):
        (tmp_path / name).write_bytes(b"x")
    assert [p.name for p in listed_files([tmp_path])] == ["a.jpg", "b.png"]
    assert listed_files([tmp_path / "b.png"]) == (tmp_path / "b.png",)


def test_captures_give_windows_of_the_asked_size():
    inputs, record = sample_inputs(
        geometry("packed_bayer_white_balanced", 4, stride=16), (64, 96), CHART
    )
    assert {tuple(x.shape) for (x,) in inputs} == {(1, 4, 64, 96)}
    assert len(inputs) == 16
    assert [f.name for f in record.files] == ["colorchart.dng"]


def test_without_captures_they_are_varied_and_some_are_real():
    inputs, record = sample_inputs(
        geometry("packed_bayer_white_balanced", 4, stride=16), (64, 96), []
    )
    assert {tuple(x.shape) for (x,) in inputs} == {(1, 4, 64, 96)}
    assert len(inputs) == 13 + 4
    assert [f.name for f in record.files][-1] == "colorchart.dng"
    assert len(record.files) == 14
    assert "dark to clipped" in record.method


def test_a_window_larger_than_the_capture_is_filled_by_reflection():
    inputs, _ = sample_inputs(geometry("packed_bayer_white_balanced", 4), (700, 900), CHART)
    (x,) = inputs[0]
    assert x.shape == (1, 4, 700, 900)
    # 1156 rows are 578 packed ones. Mosaic row 1156 + i is row 1154 - i, which has its colours.
    assert np.array_equal(x[0, :2, 580], x[0, :2, 575])
    assert np.array_equal(x[0, 2:, 580], x[0, 2:, 574])


@pytest.mark.parametrize(("channels", "size"), [(3, (192, 256)), (1, (48, 40))])
def test_pictures_are_scaled_and_turned_into_channels(channels, size):
    inputs, record = sample_inputs(geometry("srgb", channels), size, [])
    assert len(inputs) == len(record.files) == 8
    assert {tuple(x.shape) for (x,) in inputs} == {(1, channels, *size)}
    stacked = np.stack([x.numpy() for (x,) in inputs])
    assert 0 <= stacked.min() < stacked.max() <= 1


@pytest.mark.parametrize(
    ("space", "channels"), [("packed_bayer_white_balanced", 4), ("srgb", 3), ("srgb", 1)]
)
def test_no_axis_has_stride_0_which_executorch_refuses(space, channels):
    inputs, _ = sample_inputs(geometry(space, channels), (64, 96), [])
    assert {x.stride() for (x,) in inputs} == {(channels * 64 * 96, 64 * 96, 96, 1)}


def test_rows_stay_rows(tmp_path):
    pixels = np.zeros((20, 30, 3), np.uint8)
    pixels[0] = (255, 128, 0)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    picture = read_picture(tmp_path / "a.png", 3, (20, 30))
    assert picture.shape == (1, 3, 20, 30)
    assert np.allclose(picture[0, :, 0, 5], [1, 128 / 255, 0])
    assert not picture[0, :, 1:].any()


def test_masks_lie_beside_their_pictures():
    for path in bundled_files("srgb"):
        mask = read_mask(mask_file(path), (96, 128))
        assert mask.shape == (96, 128)
        assert 0.005 < mask.mean() < 0.5


def test_features_are_drawn_and_take_no_file(tmp_path):
    both = geometry("features", 8, others=(Port("signal", 5, "", "features", per=8),))
    inputs, record = sample_inputs(both, (64, 96), [])
    assert {tuple(map(tuple, (x.shape, y.shape))) for x, y in inputs} == {
        ((1, 8, 64, 96), (1, 5, 8, 12))
    }
    assert record.files == ()
    with pytest.raises(InputError, match="expects features"):
        sample_inputs(both, (64, 96), [tmp_path / "a.jpg"])


@pytest.mark.parametrize("space", ["srgb", "packed_bayer_white_balanced"])
def test_a_file_of_another_kind_is_named(tmp_path, space):
    path = tmp_path / "notes.txt"
    path.write_text("no picture")
    with pytest.raises((InputError, CaptureError), match=r"notes\.txt"):
        sample_inputs(geometry(space, {"srgb": 3}.get(space, 4)), (64, 64), [path])


def test_pictures_have_one_or_three_channels(tmp_path):
    with pytest.raises(InputError, match="with 5 channels; pictures have 1 or 3"):
        read_picture(bundled_files("srgb")[0], 5, (32, 32))
