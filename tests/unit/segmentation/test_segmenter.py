"""A picture of any size through a program of one size."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import edge_pipeline
from edge_pipeline.errors import ArtifactError, InputError, RuntimeFailure
from edge_pipeline.runtime.base import open_session
from edge_pipeline.segmentation.opening import session_at
from edge_pipeline.segmentation.pictures import picture_of_array
from edge_pipeline.segmentation.segmenter import Segmenter, Tiling, segment
from tests.fakes.artifacts import make_artifact
from tests.fakes.onnx_segmenters import HALO, make_segmenter

WINDOW = 24


def noise(height: int, width: int, channels: int = 3, seed: int = 0) -> np.ndarray:
    shape = (height, width, channels) if channels == 3 else (height, width)
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def whole(artifact, picture: np.ndarray) -> np.ndarray:
    """The labels of a picture in one piece, by a program with free sizes."""
    with open_session(artifact, "forward", threads=1) as session:
        values = picture.astype(np.float32).transpose(2, 0, 1)[None] / np.float32(255)
        (scores,) = session.run({"image": values}).values()
    return scores[0].argmax(0)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return make_segmenter(tmp_path_factory.mktemp("model") / "m", size=(16, 16)).folder


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """For each stride: a segmenter of one size, opened, and the same network with free sizes."""
    folder, made = tmp_path_factory.mktemp("pairs"), {}
    for stride, halo in HALO.items():
        kind = {"stride": stride, "halo": halo, "classes": 3}
        free = (f"{stride}*h", f"{stride}*w") if stride > 1 else ("h", "w")
        small = make_segmenter(folder / f"small{stride}", size=(WINDOW, WINDOW), **kind)
        large = make_segmenter(folder / f"large{stride}", size=free, **kind)
        made[stride] = Segmenter(small.folder, threads=1), large
    yield made
    for segmenter, _ in made.values():
        segmenter.close()


@given(st.sampled_from([1, 2]), st.integers(WINDOW, 90), st.integers(WINDOW, 90))
def test_tiles_give_the_labels_of_the_whole_picture(pairs, stride, height, width):
    segmenter, large = pairs[stride]
    height, width = height // stride * stride, width // stride * stride
    picture = noise(height, width, seed=height + width)
    result = segmenter.segment(picture_of_array(picture))
    np.testing.assert_array_equal(result.labels, whole(large, picture))
    assert result.notes == ()
    assert len(np.unique(result.labels)) == 3


def test_a_size_off_the_grid_is_extended_by_reflection(pairs):
    segmenter, large = pairs[2]
    picture = noise(51, 77)
    extended = np.pad(picture, ((0, 1), (0, 1), (0, 0)), mode="reflect")
    result = segmenter.segment(picture_of_array(picture))
    np.testing.assert_array_equal(result.labels, whole(large, extended)[:51, :77])


def test_an_overlap_below_the_halo_gives_other_labels_and_a_note(pairs):
    segmenter, large = pairs[2]
    picture = noise(80, 80)
    with Segmenter(segmenter.artifact.folder, threads=1, tiling=Tiling(0)) as hasty:
        result = hasty.segment(picture_of_array(picture))
    assert (result.labels != whole(large, picture)).any()
    assert "tiles of 24 x 24 pixels with an overlap of 0" in result.notes[0]


def test_free_sizes_are_segmented_whole_or_in_large_tiles(pairs, monkeypatch):
    from edge_pipeline.segmentation import segmenter as module

    _, large = pairs[2]
    picture = noise(50, 300)
    counts = []
    for side in (1024, 64):
        monkeypatch.setattr(module, "_FREE_SIDE", side)
        with Segmenter(large.folder, threads=1) as opened:
            result = opened.segment(
                picture_of_array(picture), on_tile=lambda done, total: counts.append(total)
            )
        np.testing.assert_array_equal(result.labels, whole(large, picture))
    assert counts[0] == 1
    assert set(counts[1:]) == {6}


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 9), (5, 16), (3, 40), (16, 16)])
def test_small_pictures_are_extended_by_reflection(model, height, width):
    picture = noise(height, width)
    labels = segment(picture, model, threads=1).labels
    assert labels.shape == (height, width)
    if width > 16:
        return
    rows, columns = ((16 - n) // 2 for n in (height, width))
    pad = ((rows, 16 - height - rows), (columns, 16 - width - columns), (0, 0))
    mode = "edge" if 1 in (height, width) and height * width == 1 else "reflect"
    extended = np.pad(picture, pad, mode=mode)
    expected = segment(extended, model, threads=1).labels
    np.testing.assert_array_equal(labels, expected[rows : rows + height, columns : columns + width])


def test_one_output_is_foreground_above_zero(tmp_path):
    artifact = make_segmenter(tmp_path / "one", classes=1)
    picture = noise(16, 16)
    result = segment(picture, artifact.folder, threads=1)
    with open_session(artifact, "forward", threads=1) as session:
        scores = session.run({"image": picture.transpose(2, 0, 1)[None] / np.float32(255)})
    np.testing.assert_array_equal(result.labels, scores["logits"][0, 0] > 0)
    assert set(np.unique(result.labels)) == {0, 1}
    assert result.names.names == ("background", "label 1")


def test_the_card_names_the_labels_and_shares_leave_out_the_background(tmp_path):
    names = ("sky", "road", "car")
    folder = make_segmenter(tmp_path / "m", classes=3, labels=names, background=True).folder
    result = segment(noise(40, 30), folder, threads=1)
    assert result.names.names == names
    shares = result.names.shares(result.labels)
    assert list(shares) == sorted(("road", "car"), key=lambda name: -shares[name])
    assert shares["car"] == pytest.approx((result.labels == 2).mean())
    other = make_segmenter(tmp_path / "all", classes=3, labels=names, background=False).folder
    all_shares = segment(noise(40, 30), other, threads=1).names.shares(result.labels)
    assert sum(all_shares.values()) == pytest.approx(1)


def test_a_network_for_grey_gets_the_luma(tmp_path):
    folder = make_segmenter(tmp_path / "grey", channels=1).folder
    colour = noise(16, 16)
    luma = (colour / 255 @ [0.299, 0.587, 0.114]).astype(np.float32)
    np.testing.assert_array_equal(
        segment(colour, folder, threads=1).labels, segment(luma, folder, threads=1).labels
    )


def test_resize_runs_once_and_says_so(model):
    picture = np.kron(noise(16, 16), np.ones((5, 4, 1), np.uint8))
    result = segment(picture, model, resize=True, threads=1)
    assert result.notes == ("it was scaled to 16 x 16 pixels (--resize)",)
    blocks = result.labels.reshape(16, 5, 16, 4)
    assert (blocks == blocks[:, :1, :, :1]).all()


def test_resize_leaves_a_picture_of_the_right_size(model):
    picture = noise(16, 16)
    result = segment(picture, model, resize=True, threads=1)
    assert result.notes == ()
    np.testing.assert_array_equal(result.labels, segment(picture, model, threads=1).labels)


@pytest.fixture(scope="module")
def specialised(tmp_path_factory):
    return make_segmenter(tmp_path_factory.mktemp("phi") / "m", classes=1, phi=0.2)


def test_phi_changes_the_weights_in_memory(specialised):
    picture = noise(16, 16)
    own, same, far = (
        segment(picture, specialised.folder, phi=phi, threads=1).labels for phi in (None, 0.2, 0.4)
    )
    np.testing.assert_array_equal(own, same)
    np.testing.assert_array_equal(far, 1 - own)  # the last weights have the other sign


@pytest.mark.parametrize("phi", [0.1999, 0.5, -1, math.nan])
def test_phi_outside_the_range_is_refused_with_the_range(specialised, phi):
    with pytest.raises(InputError, match=r"must be from 0\.2 to 0\.4"):
        session_at(specialised, phi, 1)


def test_phi_requires_a_model_that_has_it(model, tmp_path):
    with pytest.raises(InputError, match="has no rescaling factor phi; leave out --phi"):
        segment(noise(16, 16), model, phi=0.3)
    fixed = make_segmenter(tmp_path / "fixed", phi=0.2, curve=False)
    with pytest.raises(InputError, match=r"contains weights for phi=0\.2 only"):
        session_at(fixed, 0.3, 1)


def test_an_artifact_that_is_no_segmenter_is_refused(tmp_path):
    cases = {
        "1x4x": make_artifact(tmp_path / "isp").folder,
        "one program": make_artifact(tmp_path / "split", filters="split").folder,
        "a picture": make_segmenter(tmp_path / "rgb", output_space="srgb").folder,
        "scores for each pixel": make_segmenter(tmp_path / "many", outputs=300).folder,
        "names 3 labels and computes 2": make_segmenter(
            tmp_path / "names", labels=("a", "b", "c")
        ).folder,
    }
    for words, folder in cases.items():
        with pytest.raises(ArtifactError, match=words):
            Segmenter(folder, threads=1)


def test_a_result_that_is_not_finite_is_an_error(tmp_path):
    folder = make_segmenter(tmp_path / "nan", nan=True).folder
    with pytest.raises(RuntimeFailure, match="not finite"):
        segment(noise(16, 16), folder, threads=1)


@pytest.mark.parametrize("overlap", [8, 100])
def test_an_overlap_without_room_is_refused_before_any_picture(model, overlap):
    with pytest.raises(InputError, match="give at most 7"):
        Segmenter(model, threads=1, tiling=Tiling(overlap))


def test_arguments_outside_their_ranges_are_refused(model):
    with pytest.raises(InputError, match="overlap is -1"):
        Tiling(-1)
    with pytest.raises(InputError, match="there is no overlap"):
        Tiling(3, resize=True)
    with pytest.raises(InputError, match="threads must be from 1"):
        Segmenter(model, threads=0)
    with pytest.raises(ArtifactError, match="does not exist"):
        Segmenter(model / "other", threads=1)


def test_a_missing_default_model_is_one_sentence(monkeypatch, tmp_path):
    monkeypatch.setattr("edge_pipeline.segmentation.opening.packaged", lambda folder: tmp_path)
    with pytest.raises(ArtifactError, match=r"no default segmenter .* give --model ARTIFACT"):
        segment(noise(16, 16))


def test_the_package_offers_segment(model):
    assert edge_pipeline.segment is segment
    assert edge_pipeline.segment(noise(20, 20), model, threads=1).labels.shape == (20, 20)
