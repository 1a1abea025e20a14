"""Scores of a point against their definitions, written with sets of pixels."""

import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from edge_pipeline.errors import InputError
from edge_pipeline.overlap import confusion
from edge_pipeline.sweep.scores import scores_of

MASKS = st.lists(
    st.tuples(*[arrays(np.uint8, (3, 4), elements=st.integers(0, 2))] * 2), min_size=1, max_size=4
)
LABELS = ("sky", "road", "tree")


def _dice(predicted, true, label):
    a, b = ({*np.flatnonzero(mask == label)} for mask in (predicted, true))
    return 2 * len(a & b) / (len(a) + len(b)) if a or b else None


@given(MASKS, st.booleans())
def test_scores_are_those_of_sets_of_pixels(masks, background):
    counts = [confusion(predicted, true, 3) for predicted, true in masks]
    first = 1 if background else 0
    rows = [[_dice(p, t, label) for label in range(3)] for p, t in masks]
    if not any(value is not None for row in rows for value in row[first:]):
        with pytest.raises(InputError, match="no picture has a label"):
            scores_of(counts, LABELS, background=background)
        return
    scores = scores_of(counts, LABELS, background=background)
    for row, found in zip(rows, scores.picture_dice, strict=True):
        known = [value for value in row[first:] if value is not None]
        assert found == (pytest.approx(statistics.mean(known)) if known else None)
    means = []
    for label, found in enumerate(scores.labels):
        known = [row[label] for row in rows if row[label] is not None]
        assert (found.label, found.pictures) == (LABELS[label], len(known))
        assert found.dice == (pytest.approx(statistics.mean(known)) if known else None)
        spread = pytest.approx(statistics.stdev(known)) if len(known) > 1 else None
        assert found.dice_std == spread
        means += known[:0] if label < first or not known else [statistics.mean(known)]
    assert scores.dice == pytest.approx(statistics.mean(means))
