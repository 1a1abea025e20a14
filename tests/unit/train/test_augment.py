import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from edge_pipeline.data.labelled import IGNORED
from edge_pipeline.train.augment import Augmentation, augmented

MOVES = Augmentation(
    zoom=(0.5, 2), stretch=1.5, flip_horizontal=True, flip_vertical=True, rotate=True
)
COLOURS = Augmentation(brightness=0.5, contrast=0.5, saturation=0.5, hue=0.2, invert=0.5)


def encoded(height, width, cell=8, axis=1):
    """A picture whose value is its label: stripes with the labels 0 and 1."""
    numbers = np.mgrid[:height, :width][axis] // cell
    mask = torch.from_numpy((numbers % 2).astype(np.uint8))
    return mask.float().expand(3, -1, -1).clone(), mask


def agreement(picture, mask):
    """The share of pixels that are nearer to their own label than to the other one."""
    known = mask != IGNORED
    return float(((picture[0] - mask.float()).abs()[known] <= 0.51).float().mean())


def smooth(height, width, channels=3):
    generator = torch.Generator().manual_seed(0)
    return torch.rand(channels, height, width, generator=generator)


def rng(seed):
    return np.random.default_rng(seed)


@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([(24, 24), (16, 40), (33, 17), (80, 80)]),
    st.tuples(st.integers(20, 70), st.integers(20, 70), st.just(8), st.integers(0, 1)),
)
def test_the_picture_and_the_mask_move_together(seed, crop, board):
    picture, mask = augmented(*encoded(*board), crop, MOVES, rng(seed))
    assert (picture.shape, mask.shape) == ((3, *crop), crop)
    assert (picture.dtype, mask.dtype) == (torch.float32, torch.uint8)
    assert set(mask.unique().tolist()) <= {0, 1, IGNORED}
    # Black pixels outside the picture blend with those at its border, which may be white.
    assert agreement(picture, mask) > (0.95 if (mask == IGNORED).any() else 0.9999)


def test_a_mask_that_is_shifted_by_a_pixel_would_be_found():
    moved = Augmentation(zoom=(0.34, 0.34))
    picture, mask = augmented(*encoded(96, 96, cell=12), (32, 32), moved, rng(0))
    assert agreement(picture, mask) == 1
    assert agreement(picture, mask.roll(1, 1)) < 0.8


def test_without_changes_the_crop_is_a_part_of_the_picture():
    picture, mask = smooth(20, 30), (100 * smooth(20, 30, 1)[0]).byte()
    crop, labels = augmented(picture, mask, (8, 9), Augmentation(), rng(3))
    places = [
        (top, left)
        for top in range(13)
        for left in range(22)
        if torch.equal(crop, picture[:, top : top + 8, left : left + 9])
    ]
    assert len(places) == 1
    top, left = places[0]
    assert torch.equal(labels, mask[top : top + 8, left : left + 9])


def test_crops_come_from_everywhere():
    mask = torch.arange(30, dtype=torch.uint8).repeat(20, 1)
    seen = {
        int(augmented(smooth(20, 30), mask, (8, 9), Augmentation(), rng(seed))[1][0, 0])
        for seed in range(200)
    }
    assert seen == set(range(22))


def test_a_crop_larger_than_the_picture_is_extended_without_labels():
    picture, mask = smooth(10, 40), torch.ones(10, 40, dtype=torch.uint8)
    crop, labels = augmented(picture, mask, (16, 16), Augmentation(), rng(0))
    assert (labels[:10] == 1).all()
    assert (labels[10:] == IGNORED).all()
    assert (crop[:, 10:] == 0).all()
    assert (crop[:, :10] != 0).any()


@pytest.mark.parametrize("crop", [(12, 12), (8, 12)])
def test_every_direction_occurs_that_the_crop_permits(crop):
    picture, mask = smooth(*crop), torch.zeros(crop, dtype=torch.uint8)
    seen = {
        tuple(
            augmented(picture, mask, crop, Augmentation(rotate=True), rng(seed))[0]
            .flatten()
            .tolist()
        )
        for seed in range(40)
    }
    turns = range(4) if crop[0] == crop[1] else (0, 2)
    assert seen == {tuple(picture.rot90(turn, (1, 2)).flatten().tolist()) for turn in turns}


@pytest.mark.parametrize("axis", [1, 2])
def test_half_of_the_samples_are_mirrored(axis):
    how = Augmentation(flip_vertical=axis == 1, flip_horizontal=axis == 2)
    picture, mask = smooth(6, 6), torch.zeros(6, 6, dtype=torch.uint8)
    crops = [augmented(picture, mask, (6, 6), how, rng(seed))[0] for seed in range(200)]
    mirrored = sum(torch.equal(crop, picture.flip(axis)) for crop in crops)
    assert mirrored + sum(torch.equal(crop, picture) for crop in crops) == 200
    assert 70 < mirrored < 130


@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 3]))
def test_colours_change_within_the_range_and_labels_do_not(seed, channels):
    picture, mask = smooth(9, 9, channels), encoded(9, 9)[1]
    crop, labels = augmented(picture, mask, (9, 9), COLOURS, rng(seed))
    assert ((crop >= 0) & (crop <= 1)).all()
    assert not torch.equal(crop, picture)
    assert torch.equal(labels, mask)


@pytest.mark.parametrize("how", [MOVES, COLOURS])
def test_a_sample_is_that_of_its_generator(how):
    first, again, other = (augmented(*encoded(40, 40), (24, 24), how, rng(s)) for s in (5, 5, 6))
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1], again[1])
    assert not torch.equal(first[0], other[0])


def test_the_pictures_in_memory_stay_unchanged():
    picture, mask = encoded(24, 24)
    before = picture.clone(), mask.clone()
    augmented(picture, mask, (24, 24), COLOURS, rng(1))
    assert torch.equal(picture, before[0])
    assert torch.equal(mask, before[1])


@pytest.mark.parametrize(
    "fields",
    [{"zoom": (0, 1)}, {"zoom": (2, 1)}, {"stretch": 0.5}, {"hue": 0.6}, {"invert": 1.5}, {"x": 1}],
)
def test_a_wrong_augmentation_is_refused(fields):
    with pytest.raises(ValidationError):
        Augmentation(**fields)
