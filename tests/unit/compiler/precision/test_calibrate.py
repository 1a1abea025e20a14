import numpy as np
import pytest
import torch
from torch import nn

from edge_pipeline.compiler.precision import samples
from edge_pipeline.compiler.precision.calibrate import calibrated_filters
from edge_pipeline.compiler.precision.samples import bundled_files
from edge_pipeline.compiler.source.entries import Entry
from edge_pipeline.errors import CaptureError, CompileError, InputError
from edge_pipeline.files import sha256_of
from edge_pipeline.models.network import Port
from edge_pipeline.raw.image import Capture, CaptureExif
from tests.programs import network_of


class Means(nn.Module):
    """Its weight is the mean of each channel of its input, so averages are easy to compute."""

    stride, min_size, scale, halo = 16, 32, 2, None
    default_size, free_sizes = (64, 64), True
    inputs = outputs = (Port("packed", 4, "a capture", "packed_bayer_white_balanced"),)

    def forward(self, x):
        return torch.conv2d(x, self.weight(x).reshape(4, 1, 1, 1), groups=4)

    def weight(self, x):
        return x.mean((2, 3))


def calibrated(model, captures, *, free_sizes=True):
    """The one filter, and the record."""
    network = network_of(model, (torch.rand(1, 4, 64, 64),), free_sizes=free_sizes)
    filters, record = calibrated_filters(network, captures)
    (value,) = filters.values()
    return value, record


def fake_capture(path, height, width, value):
    mosaic = np.full((height, width), value, np.uint16)
    return Capture(
        mosaic, "RGGB", (0, 0, 0, 0), 1000, (1, 1, 1), None, None, 1, CaptureExif(), path
    )


@pytest.fixture
def captures(tmp_path, monkeypatch):
    """Two captures: a large one of value 0.1 and one smaller than a view, of value 0.5."""
    large, small = tmp_path / "large.dng", tmp_path / "small.dng"
    large.write_bytes(b"large")
    small.write_bytes(b"small")
    content = {large: (2000, 1100, 100), small: (90, 70, 500)}
    monkeypatch.setattr(samples, "read_capture", lambda path: fake_capture(path, *content[path]))
    return [large, small]


@pytest.fixture
def seen(monkeypatch):
    """The shapes of the inputs that predictors run on."""
    shapes, run = [], Entry.run

    def watched(entry, inputs):
        shapes.append(tuple(inputs[0].shape))
        return run(entry, inputs)

    monkeypatch.setattr(Entry, "run", watched)
    return shapes


@pytest.mark.parametrize("free_sizes", [False, True])
def test_captures_count_alike_whatever_their_size(captures, seen, free_sizes):
    model = Means()
    model.free_sizes = free_sizes
    value, record = calibrated(model, captures, free_sizes=free_sizes)
    assert torch.allclose(value, torch.full((4, 1, 1, 1), 0.3))
    # A view of the large one, and all of the small, which is filled up to the stride as in isp/.
    assert seen == [(1, 4, 512, 512), (1, 4, 48, 48)]
    assert [f.name for f in record.files] == ["large.dng", "small.dng"]
    assert [f.sha256 for f in record.files] == [sha256_of(p) for p in captures]
    assert record.sha256 == calibrated(model, captures)[1].sha256
    assert record.sha256 != calibrated(model, captures[::-1])[1].sha256


def test_captures_of_the_project_serve_if_none_are_named():
    value, record = calibrated(Means(), [])
    bundled, same = calibrated(Means(), bundled_files("packed_bayer_white_balanced"))
    assert torch.equal(value, bundled)
    assert record.files
    assert record.sha256 == same.sha256
    assert 0 < float(value.mean()) < 1


def test_a_network_of_features_is_calibrated_on_its_example(captures):
    class Features(Means):
        inputs = (Port("features", 4, "maps", "features"),)

    network = network_of(Features(), (torch.rand(1, 4, 64, 64),), free_sizes=True)
    (value,) = calibrated_filters(network, [])[0].values()
    assert torch.allclose(value.flatten(), network.example[0].mean((2, 3)).flatten())
    with pytest.raises(InputError, match="features is not a packed Bayer capture"):
        calibrated_filters(network, captures)


def test_a_file_that_is_no_capture_is_refused(tmp_path):
    path = tmp_path / "notes.dng"
    path.write_text("not a capture")
    with pytest.raises(CaptureError, match=r"notes\.dng"):
        calibrated(Means(), [path])


def test_a_filter_that_is_not_finite_is_named(captures):
    class Broken(Means):
        def weight(self, x):
            return x.mean((2, 3)) * float("nan")

    with pytest.raises(CompileError, match=r"weight .* is not finite"):
        calibrated(Broken(), captures)
