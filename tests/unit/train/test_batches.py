import pytest
import torch

from edge_pipeline.data.pictures import load_mixture
from edge_pipeline.train.batches import batches, make_batch

HOW = {"size": 2, "crop": 16, "seed": 3}


@pytest.fixture(scope="module")
def pictures():
    return load_mixture([("procedural", 1.0, {"count": 4, "size": 80})])


def test_a_batch_is_of_one_capture(pictures):
    batch = make_batch(pictures, **HOW, step=0)
    assert batch.packed.shape == (2, 4, 16, 16)
    assert batch.target.shape == (2, 3, 32, 32)
    assert batch.camera_to_srgb.shape == (3, 3)
    torch.testing.assert_close(batch.camera_to_srgb.sum(1), torch.ones(3))
    assert batch.push >= 1


def test_batches_are_those_of_their_numbers_wherever_one_begins(pictures):
    whole = list(batches(pictures, **HOW, first=0, last=5))
    resumed = list(batches(pictures, **HOW, first=3, last=5))
    assert (len(whole), len(resumed)) == (5, 2)
    for one, other in zip(whole[3:], resumed, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
    assert not torch.equal(whole[0].packed, whole[1].packed)


def test_there_may_be_nothing_left_to_do(pictures):
    assert list(batches(pictures, **HOW, first=5, last=5)) == []
