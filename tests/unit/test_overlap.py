"""The metrics of segmentations against torchmetrics, and by their properties."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchmetrics.functional.classification import multiclass_jaccard_index
from torchmetrics.functional.segmentation import dice_score

from edge_pipeline.overlap import confusion, overlap_of

IGNORED = 255


def masks(seed, labels, count=3, ignored=0.1):
    """True and predicted masks that agree in about half of the pixels."""
    rng = np.random.default_rng(seed)
    true = rng.integers(0, labels, (count, 9, 7))
    predicted = np.where(rng.random(true.shape) < 0.5, true, rng.integers(0, labels, true.shape))
    true[rng.random(true.shape) < ignored] = IGNORED
    return true, predicted


def found(true, predicted, labels, **options):
    counts = [confusion(p, t, labels) for p, t in zip(predicted, true, strict=True)]
    return overlap_of(counts, **{"background": True} | options)


@pytest.mark.parametrize("labels", [2, 5])
def test_the_scores_agree_with_torchmetrics(labels):
    true, predicted = masks(labels, labels)
    got = found(true, predicted, labels)
    scores = []
    for t, p in zip(true, predicted, strict=True):
        known = t != IGNORED
        pair = torch.from_numpy(p[known])[None], torch.from_numpy(t[known])[None]
        scores.append(dice_score(*pair, labels, average="none", input_format="index")[0].numpy())
    np.testing.assert_allclose(got.label_dice, np.mean(scores, 0), atol=1e-6)
    iou = multiclass_jaccard_index(
        torch.from_numpy(predicted),
        torch.from_numpy(true),
        labels,
        average="none",
        ignore_index=IGNORED,
    )
    np.testing.assert_allclose(got.label_iou, iou.numpy(), atol=1e-6)
    assert got.dice == pytest.approx(np.mean(got.label_dice[1:]))
    assert got.iou == pytest.approx(np.mean(got.label_iou[1:]))
    everything = found(true, predicted, labels, background=False)
    assert everything.dice == pytest.approx(np.mean(got.label_dice))
    assert everything.dice != pytest.approx(got.dice, abs=1e-4)


def test_a_label_in_no_mask_has_no_score_and_one_in_some_masks_has_theirs():
    true = np.array([[[1, 1, 0, 0]], [[0, 0, 0, 0]]])
    predicted = np.array([[[1, 0, 0, 0]], [[0, 0, 0, 0]]])
    got = found(true, predicted, 3)
    assert got.label_dice[1] == pytest.approx(2 / 3)  # of the first picture only
    assert math.isnan(got.label_dice[2])
    assert math.isnan(got.label_iou[2])
    assert (got.dice, got.iou) == pytest.approx((2 / 3, 1 / 2))
    nothing = found(true[1:], predicted[1:], 2)
    assert math.isnan(nothing.dice)
    assert math.isnan(nothing.iou)


def test_a_wrong_prediction_where_the_label_is_not_is_counted():
    true, predicted = np.zeros((1, 2, 2), int), np.ones((1, 2, 2), int)
    assert found(true, predicted, 2).label_dice == (0, 0)


@given(st.integers(0, 2**32 - 1), st.integers(2, 6))
def test_scores_are_shares_and_best_for_equal_masks(seed, labels):
    true, predicted = masks(seed, labels)
    got = found(true, predicted, labels)
    assert 0 <= got.iou <= got.dice <= 1 or labels > 2  # per picture and per set differ
    for value in (*got.label_dice, *got.label_iou):
        assert math.isnan(value) or 0 <= value <= 1
    same = found(true, np.where(true == IGNORED, 0, true), labels)
    assert same.dice == same.iou == 1


@given(st.integers(0, 2**32 - 1))
def test_pixels_without_a_label_do_not_count_and_order_does_not_matter(seed):
    true, predicted = masks(seed, 3, ignored=0.3)
    other = np.where(true == IGNORED, 2 - predicted, predicted)
    assert found(true, other, 3) == found(true, predicted, 3)
    turned = found(true[::-1, ::-1], predicted[::-1, ::-1], 3)
    np.testing.assert_allclose(turned.label_dice, found(true, predicted, 3).label_dice)


def test_confusion_counts_pairs():
    true, predicted = np.array([[0, 1, 1, IGNORED]]), np.array([[0, 0, 1, 1]])
    np.testing.assert_array_equal(confusion(predicted, true, 2), [[1, 0], [1, 1]])


def test_the_dice_score_rises_with_each_right_pixel():
    true = np.ones((1, 1, 6), int)
    scores = []
    for right in range(7):
        predicted = np.zeros((1, 1, 6), int)
        predicted[..., :right] = 1
        scores.append(found(true, predicted, 2).dice)
    assert all(first < second for first, second in pairwise(scores))
