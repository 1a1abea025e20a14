"""The captures that int8 is calibrated on by default."""

import numpy as np
import pytest

pytest.importorskip("torch", reason="compiling needs torch")

from edge_pipeline.compiler.precision.accuracy import _SEED as VALIDATION
from edge_pipeline.compiler.precision.varied import _SEED, varied_captures

SIZE = (48, 64)


@pytest.fixture(scope="module")
def captures():
    return list(varied_captures(SIZE))


def test_the_same_at_every_call(captures):
    again = list(varied_captures(SIZE))
    assert [record for record, _ in again] == [record for record, _ in captures]
    assert all(np.array_equal(a, b) for (_, a), (_, b) in zip(again, captures, strict=True))
    assert len({record.sha256 for record, _ in captures}) == len(captures) == 13
    assert _SEED != VALIDATION


def test_dark_bright_saturated_flat_detailed_and_noisy(captures):
    arrays = [packed for _, packed in captures]
    assert {a.shape for a in arrays} == {(1, 4, *SIZE)}
    assert {a.dtype for a in arrays} == {np.dtype(np.float32)}
    means = sorted(float(a.mean()) for a in arrays)
    assert means[0] < 0.01
    assert means[2] < 0.1
    assert means[-1] > 0.95
    clipped = [float((a >= 1).mean()) for a in arrays]
    assert sum(share > 0.2 for share in clipped) >= 2
    colours = [float(np.ptp(a, axis=1).mean()) for a in arrays]
    assert max(colours) > 0.3
    assert min(colours) < 0.01
    grain = [float(np.abs(np.diff(a, axis=-1)).mean()) for a in arrays]
    assert min(grain) < 0.005
    assert max(grain) > 0.03
    assert min(float(a.min()) for a in arrays) < 0  # noise about black


def test_no_axis_has_stride_0(captures):
    assert {a.strides for _, a in captures} == {(4 * 48 * 64 * 4, 48 * 64 * 4, 64 * 4, 4)}
