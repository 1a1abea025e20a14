import threading
from typing import NamedTuple

import pytest
import torch

from edge_pipeline.errors import InputError
from edge_pipeline.train.batches import batches
from edge_pipeline.train.task import Share


class Batch(NamedTuple):
    values: torch.Tensor


class Numbers:
    """A task whose batches are their numbers; batch 3 of `broken` cannot be read."""

    def __init__(self, broken=False):
        self.made, self.broken, self.lock = [], broken, threading.Lock()

    def batch(self, step, share):
        with self.lock:
            self.made.append(step)
        if self.broken and step == 3:
            raise InputError("batch 3 cannot be read")
        return Batch(torch.tensor([step, share.rank, share.world]))


def listed(task, share, **limits):
    with batches(task, share, **limits) as ahead:
        return [batch.values.tolist() for batch in ahead]


def test_batches_are_those_of_their_numbers_wherever_one_begins():
    assert listed(Numbers(), Share(), first=0, last=5) == [[step, 0, 1] for step in range(5)]
    assert listed(Numbers(), Share(1, 2), first=3, last=5) == [[3, 1, 2], [4, 1, 2]]


def test_there_may_be_nothing_left_to_do():
    assert listed(Numbers(), Share(), first=5, last=5) == []


def test_each_batch_is_made_once_and_at_most_two_ahead():
    task = Numbers()
    with batches(task, Share(), first=0, last=100) as ahead:
        for step in range(10):
            next(ahead)
            with task.lock:
                assert max(task.made) <= step + 2
    assert task.made == sorted(set(task.made))
    assert len(task.made) <= 12  # the block has ended, so no further ones are made


def test_a_batch_that_cannot_be_read_ends_the_training_at_its_turn():
    seen = []
    with (
        pytest.raises(InputError, match="batch 3"),
        batches(Numbers(broken=True), Share(), first=0, last=6) as ahead,
    ):
        seen.extend(batch.values[0].item() for batch in ahead)
    assert seen == [0, 1, 2]
