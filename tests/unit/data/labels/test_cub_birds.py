"""Caltech-UCSD Birds-200-2011."""

import numpy as np
import pytest

from edge_pipeline.data.labelled import load_labelled
from edge_pipeline.errors import InputError

NAMES = [
    f"{species}/{species[4:]}_{number:04}"
    for species in ("001.Black_footed_Albatross", "200.Common_Yellowthroat")
    for number in (9, 18, 34)
]
TRAINED = {NAMES[0], NAMES[1], NAMES[3], NAMES[4]}


@pytest.fixture(params=["inside", "beside"])
def birds(request, miniature):
    masks = {}
    segments = "CUB_200_2011/segmentations" if request.param == "inside" else "segmentations"
    for name in NAMES:
        miniature.picture(f"CUB_200_2011/images/{name}.jpg")
        masks[f"{name}.jpg"] = miniature.mask(f"{segments}/{name}.png", [0, 51, 102, 153, 204, 255])
    lists(miniature)
    return miniature, {"folder": miniature.folder, "validation": 0.5}, masks


def lists(miniature, flag=lambda name: int(name in TRAINED)):
    numbered = list(enumerate(NAMES, start=1))
    miniature.text("CUB_200_2011/images.txt", *(f"{n} {name}.jpg" for n, name in numbered))
    miniature.text(
        "CUB_200_2011/train_test_split.txt", *(f"{n} {flag(name)}" for n, name in numbered)
    )


def test_the_list_is_the_split_and_three_of_five_annotators_make_a_bird(birds):
    miniature, options, masks = birds
    splits = {split: load_labelled("cub_birds", split, options) for split in ("train", "val")}
    tested = load_labelled("cub_birds", "test", {"folder": miniature.folder / "CUB_200_2011"})
    trained = [name for pictures in splits.values() for name in pictures.names]
    assert sorted(trained) == sorted(f"{name}.jpg" for name in TRAINED)
    assert tested.names == [f"{name}.jpg" for name in NAMES if name not in TRAINED]
    for index, name in enumerate(tested.names):
        np.testing.assert_array_equal(tested.read(index)[1], masks[name] > 127)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: lists(m, lambda name: 2), r"train_test_split.txt has '2' for the picture 1 \("),
        (
            lambda m: m.text("CUB_200_2011/train_test_split.txt", "1 1"),
            r"train_test_split.txt has None for the picture 2",
        ),
        (lambda m: lists(m, lambda name: 1), r"the split test .* contains no picture"),
        (
            lambda m: next(m.folder.rglob(f"{NAMES[2]}.png")).unlink(),
            r"Albatross_0034.png is missing; get cub_birds from https://www.vision.caltech.edu",
        ),
        (
            lambda m: (m.folder / "CUB_200_2011").rename(m.folder / "CUB"),
            r"set/images.txt is missing; get cub_birds from",
        ),
    ],
)
def test_faults_are_named(birds, change, message):
    miniature, options, _ = birds
    change(miniature)
    with pytest.raises(InputError, match=message):
        load_labelled("cub_birds", "test", options)
