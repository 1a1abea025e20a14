import numpy as np
import pytest
import torch
from torch import nn

from edge_pipeline.compiler.precision import samples
from edge_pipeline.compiler.precision.calibrate import calibrated_filters
from edge_pipeline.compiler.precision.samples import bundled_files
from edge_pipeline.errors import CaptureError, CompileError, InputError
from edge_pipeline.files import sha256_of
from edge_pipeline.models.network import Port
from edge_pipeline.raw.image import Capture, CaptureExif


class Means(nn.Module):
    """Predicts the mean of what it sees, so that averages can be told by hand."""

    stride, min_size, scale, halo = 16, 32, 2, None
    default_size, free_sizes = (64, 64), True
    inputs = outputs = (Port("packed", 4, "a capture", "packed_bayer_white_balanced"),)

    def __init__(self):
        super().__init__()
        self.seen = []

    def predict_filters(self, x):
        self.seen.append(tuple(x.shape))
        return {"layer.weight": x.mean((2, 3)).reshape(1, 4, 1, 1, 1)}

    def apply_filters(self, x, filters):
        return x * filters["layer.weight"].reshape(1, 4, 1, 1)


def fake_capture(path, height, width, value):
    mosaic = np.full((height, width), value, np.uint16)
    return Capture(
        mosaic, "RGGB", (0, 0, 0, 0), 1000, (1, 1, 1), None, None, 1, CaptureExif(), path
    )


@pytest.fixture
def captures(tmp_path, monkeypatch):
    """Two captures: a large one of value 0.1 and one smaller than a window, of value 0.5."""
    large, small = tmp_path / "large.dng", tmp_path / "small.dng"
    large.write_bytes(b"large")
    small.write_bytes(b"small")
    content = {large: (2000, 1200, 100), small: (90, 70, 500)}
    monkeypatch.setattr(samples, "read_capture", lambda path: fake_capture(path, *content[path]))
    return [large, small]


def test_captures_count_alike_whatever_their_size(captures):
    model = Means()
    filters, record = calibrated_filters(model, captures)
    assert torch.allclose(filters["layer.weight"], torch.full((1, 4, 1, 1, 1), 0.3))
    assert [f.name for f in record.files] == ["large.dng", "small.dng"]
    assert [f.sha256 for f in record.files] == [sha256_of(p) for p in captures]
    assert record.sha256 == calibrated_filters(model, captures)[1].sha256
    assert record.sha256 != calibrated_filters(model, captures[::-1])[1].sha256
    # 16 windows of the large one, one of the small, which is filled up to the stride as in isp/.
    assert model.seen[:17] == [(1, 4, 128, 128)] * 16 + [(1, 4, 48, 48)]


def test_an_empty_set_is_refused():
    with pytest.raises(InputError, match="calibration set is empty"):
        calibrated_filters(Means(), [])


def test_a_file_that_is_no_capture_is_refused(tmp_path):
    path = tmp_path / "notes.dng"
    path.write_text("not a capture")
    with pytest.raises(CaptureError, match=r"notes\.dng"):
        calibrated_filters(Means(), [path])


def test_a_filter_that_is_not_finite_is_named(captures):
    class Broken(Means):
        def predict_filters(self, x):
            return {"layer.weight": x.mean((2, 3)).reshape(1, 4, 1, 1, 1) * float("nan")}

    with pytest.raises(CompileError, match=r"layer\.weight"):
        calibrated_filters(Broken(), captures)


def test_the_bundled_capture_can_be_used():
    filters, record = calibrated_filters(Means(), bundled_files("packed_bayer_white_balanced"))
    assert record.files
    assert 0 < float(filters["layer.weight"].mean()) < 1
