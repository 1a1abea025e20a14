"""The losses of segmenters against plain restatements."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from edge_pipeline.data.labelled import IGNORED
from edge_pipeline.train.segmentation_losses import (
    bootstrapped,
    cross_entropies,
    probabilities,
    soft_dice_loss,
)


def sample(labels=3, count=2, ignored=True):
    generator = torch.Generator().manual_seed(labels)
    scores = torch.randn(count, labels, 5, 6, generator=generator)
    masks = torch.randint(0, labels, (count, 5, 6), generator=generator)
    if ignored:
        masks[:, 0] = IGNORED
    return scores, masks


def plain_dice_loss(scores, masks, background):
    """The definition, label by label and sample by sample."""
    shares, losses = scores.softmax(1).numpy(), []
    for share, mask in zip(shares, masks.numpy(), strict=True):
        known = mask != IGNORED
        for label in range(1 if background else 0, len(share)):
            p, t = share[label][known], mask[known] == label
            losses.append(1 - (2 * (p * t).sum() + 1) / (p.sum() + t.sum() + 1))
    return np.mean(losses)


def test_cross_entropies_are_those_of_torch_and_zero_without_a_label():
    scores, masks = sample()
    got = cross_entropies(scores, masks, IGNORED)
    known = masks != IGNORED
    expected = -scores.log_softmax(1).gather(1, masks.where(known, 0)[:, None])[:, 0]
    torch.testing.assert_close(got[known], expected[known])
    assert (got[~known] == 0).all()
    mean = F.cross_entropy(scores, masks, ignore_index=IGNORED)
    torch.testing.assert_close(bootstrapped(got, known, 1.0), mean)  # equal counts in all samples


def test_one_output_is_that_of_two_with_a_background_score_of_zero():
    one, masks = torch.randn(2, 1, 5, 6), sample(2)[1]
    two = torch.cat([torch.zeros_like(one), one], 1)
    same = cross_entropies(one, masks, IGNORED), cross_entropies(two, masks, IGNORED)
    torch.testing.assert_close(*same)
    known = masks != IGNORED
    logistic = F.binary_cross_entropy_with_logits(one[:, 0], masks.float(), reduction="none")
    torch.testing.assert_close(same[0][known], logistic[known])
    torch.testing.assert_close(probabilities(one)[:, 1:], one.sigmoid())
    dice = [soft_dice_loss(scores, masks, IGNORED, background=True) for scores in (one, two)]
    torch.testing.assert_close(*dice)


@pytest.mark.parametrize("share", [0.05, 0.25, 0.9])
def test_bootstrapping_counts_the_largest_errors_of_each_sample(share):
    errors = torch.rand(3, 4, 5)
    counted = torch.rand(3, 4, 5) < 0.7
    means = []
    for error, valid in zip(errors, counted, strict=True):
        values = sorted(error[valid].tolist(), reverse=True)
        kept = values[: math.ceil(share * len(values))]
        means.append(sum(kept) / len(kept))
    got = bootstrapped(errors, counted, share)
    assert float(got) == pytest.approx(np.mean(means), rel=1e-5)
    assert got > bootstrapped(errors, counted, 1.0)


@pytest.mark.parametrize("share", [0.5, 1.0])
def test_a_sample_without_labels_has_no_loss_and_no_gradient(share):
    scores, masks = sample(ignored=False)
    masks[0] = IGNORED
    scores.requires_grad_()
    errors = cross_entropies(scores, masks, IGNORED)
    loss = bootstrapped(errors, masks != IGNORED, share)
    alone = bootstrapped(errors[1:], masks[1:] != IGNORED, share)
    torch.testing.assert_close(loss, alone / 2)
    loss = loss + soft_dice_loss(scores, masks, IGNORED, background=True)
    loss.backward()
    assert (scores.grad[0] == 0).all()
    assert (scores.grad[1] != 0).any()
    assert scores.grad.isfinite().all()


@pytest.mark.parametrize("background", [True, False])
def test_the_dice_loss_is_its_definition(background):
    scores, masks = sample()
    got = soft_dice_loss(scores, masks, IGNORED, background=background)
    assert float(got) == pytest.approx(plain_dice_loss(scores, masks, background), rel=1e-5)
    assert float(got) != pytest.approx(plain_dice_loss(scores, masks, not background), rel=1e-3)


def test_the_dice_loss_is_nothing_for_certain_right_scores_and_ignores_other_pixels():
    scores, masks = sample()
    right = 100.0 * F.one_hot(masks.where(masks != IGNORED, 0), 3).movedim(-1, 1)
    assert float(soft_dice_loss(right, masks, IGNORED, background=True)) == pytest.approx(0)
    changed = scores.clone()
    changed[:, :, 0] = 7 * torch.randn(2, 3, 6)
    for background in (True, False):
        pair = [soft_dice_loss(s, masks, IGNORED, background=background) for s in (scores, changed)]
        assert torch.equal(*pair)


def test_each_loss_of_a_batch_is_the_mean_of_its_samples_losses():
    """So several processes, each with a share of the batch, train as one."""
    scores, masks = sample(count=4, ignored=False)
    masks[0, :3] = IGNORED  # samples with different numbers of labels

    def losses(part):
        errors, known = cross_entropies(scores[part], masks[part], IGNORED), masks[part] != IGNORED
        dice = soft_dice_loss(scores[part], masks[part], IGNORED, background=True)
        return torch.stack(
            [bootstrapped(errors, known, 1.0), bootstrapped(errors, known, 0.3), dice]
        )

    halves = (losses(slice(0, None, 2)) + losses(slice(1, None, 2))) / 2
    torch.testing.assert_close(halves, losses(slice(None)))


@pytest.mark.parametrize("outputs", [1, 3])
def test_descending_the_gradient_of_each_loss_lowers_it(outputs):
    masks = sample(max(outputs, 2))[1]

    def errors(x):
        return cross_entropies(x, masks, IGNORED)

    for loss in (
        lambda x: bootstrapped(errors(x), masks != IGNORED, 1.0),
        lambda x: bootstrapped(errors(x), masks != IGNORED, 0.3),
        lambda x: soft_dice_loss(x, masks, IGNORED, background=True),
    ):
        scores = sample(outputs)[0].requires_grad_()
        before = loss(scores)
        before.backward()
        assert loss(scores.detach() - 0.5 * scores.grad) < before
