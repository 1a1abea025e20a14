"""OASIS brains, the slices that Neurite publishes."""

import sys

import numpy as np
import pytest

from edge_pipeline.data.labelled import load_labelled
from edge_pipeline.errors import InputError, MissingExtraError

nibabel = pytest.importorskip("nibabel", reason="the slices are NIfTI files, which nibabel reads")

SUBJECTS = [f"OASIS_OAS1_{number:04}_MR1" for number in (1, 2, 3, 4, 5, 7)]
SIZE = (16, 20)
EVEN = {"shares": (0.4, 0.3, 0.3)}


def write(path, values):
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), path)


@pytest.fixture
def brains(miniature):
    files = {}
    for subject in SUBJECTS:
        slices = miniature.rng.random((*SIZE, 1), np.float32)
        labels = np.resize(np.arange(25), (*SIZE, 1)).astype(np.float32)
        miniature.rng.shuffle(labels)
        write(miniature.folder / subject / "slice_norm.nii.gz", slices)
        write(miniature.folder / subject / "slice_seg24.nii.gz", labels)
        files[subject] = slices[..., 0], labels[..., 0]
    miniature.text("subjects.txt", *SUBJECTS)
    names = [f"{label:<4} Structure-{label} 10 20 30 0" for label in range(25)]
    miniature.text("seg24_labels.txt", "# colour table", *names)
    return miniature, files


def load(miniature, split="train", **more):
    return load_labelled("oasis", split, {"folder": miniature.folder, "shares": (1, 0, 0), **more})


def test_slices_are_read_with_rows_first(brains):
    miniature, files = brains
    pictures = load(miniature)
    assert pictures.names == SUBJECTS
    assert (pictures.channels, pictures.background) == (1, True)
    assert pictures.labels == ("background", *(f"Structure-{label}" for label in range(1, 25)))
    for index, subject in enumerate(SUBJECTS):
        picture, mask = pictures.read(index)
        assert picture.dtype == np.float32
        np.testing.assert_array_equal(picture, files[subject][0][None])
        np.testing.assert_array_equal(mask, files[subject][1])


def test_subjects_have_one_split_each(brains):
    miniature, _ = brains
    splits = [load(miniature, split, **EVEN).names for split in ("train", "val", "test")]
    assert sorted(name for names in splits for name in names) == SUBJECTS
    miniature.text("subjects.txt", *reversed(SUBJECTS))
    again = [load(miniature, split, **EVEN).names for split in ("train", "val", "test")]
    assert [sorted(names) for names in again] == [sorted(names) for names in splits]


def test_slices_of_two_axes_and_integers_are_read(brains):
    miniature, files = brains
    folder = miniature.folder / SUBJECTS[0]
    write(folder / "slice_norm.nii.gz", files[SUBJECTS[0]][0])
    write(folder / "slice_seg24.nii.gz", files[SUBJECTS[0]][1].astype(np.int16))
    picture, mask = load(miniature).read(0)
    np.testing.assert_array_equal(picture, files[SUBJECTS[0]][0][None])
    np.testing.assert_array_equal(mask, files[SUBJECTS[0]][1])


def fault(miniature, kind):
    folder = miniature.folder / SUBJECTS[0]
    picture, mask = folder / "slice_norm.nii.gz", folder / "slice_seg24.nii.gz"
    if kind == "bytes":
        write(picture, np.full((*SIZE, 1), 200, np.float32))
    elif kind == "nan":
        write(picture, np.full((*SIZE, 1), np.nan, np.float32))
    elif kind == "volume":
        write(picture, np.zeros((*SIZE, 3), np.float32))
    elif kind == "label":
        write(mask, np.full((*SIZE, 1), 25, np.int16))
    elif kind == "negative":
        write(mask, np.full((*SIZE, 1), -1, np.int16))
    elif kind == "half":
        write(mask, np.full((*SIZE, 1), 1.5, np.float32))
    elif kind == "size":
        write(mask, np.zeros((*SIZE[::-1], 1), np.int16))
    elif kind == "text":
        picture.write_text("no NIfTI file")
    elif kind == "short":
        picture.write_bytes(picture.read_bytes()[:200])
    elif kind == "empty":
        picture.write_bytes(b"")


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("bytes", r"slice_norm.nii.gz has values from 200 to 200; a slice_norm .* has 0 to 1"),
        ("nan", r"slice_norm.nii.gz has values from nan to nan"),
        ("volume", r"slice_norm.nii.gz has the shape \(16, 20, 3\); a slice has two axes"),
        ("label", r"seg24.nii.gz has the value 25, .* oasis; its values are 0 to 24$"),
        ("negative", r"seg24.nii.gz has the value -1, .* its values are 0 to 24$"),
        ("half", r"seg24.nii.gz has the label 1.5; labels are integers"),
        ("size", r"seg24.nii.gz has 16 x 20 pixels .*norm.nii.gz has 20 x 16"),
        ("text", r"slice_norm.nii.gz cannot be read as a NIfTI file"),
        ("short", r"slice_norm.nii.gz cannot be read as a NIfTI file"),
        ("empty", r"slice_norm.nii.gz cannot be read as a NIfTI file"),
    ],
)
def test_a_fault_is_named_with_its_file(brains, kind, message):
    miniature, _ = brains
    pictures = load(miniature)
    fault(miniature, kind)
    with pytest.raises(InputError, match=message):
        pictures.read(0)
    pictures.read(1)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("subjects.txt", r"subjects.txt is missing; get oasis from https://github.com/adalca"),
        ("seg24_labels.txt", r"the list .*seg24_labels.txt is missing"),
        (f"{SUBJECTS[2]}/slice_seg24.nii.gz", r"0003_MR1/slice_seg24.nii.gz is missing; get oasi"),
    ],
)
def test_a_missing_file_is_named(brains, path, message):
    (brains[0].folder / path).unlink()
    with pytest.raises(InputError, match=message):
        load(brains[0])


def test_a_label_without_a_name_and_an_empty_split_are_named(brains):
    miniature, _ = brains
    with pytest.raises(InputError, match="the split val of the data set oasis contains no picture"):
        load(miniature, "val")
    miniature.text("seg24_labels.txt", *(f"{label} name" for label in range(24)))
    with pytest.raises(InputError, match=r"seg24_labels.txt has no name for the label 24"):
        load(miniature)


def test_nibabel_is_named_if_it_is_absent(brains, monkeypatch):
    monkeypatch.setitem(sys.modules, "nibabel", None)
    with pytest.raises(MissingExtraError, match=r"the data set oasis requires .* nibabel"):
        load(brains[0])
