"""MIL's operators, called and compared as tests of them do."""

import numpy as np
import torch
from hypothesis import strategies as st

from edge_pipeline.runtime.mil.evaluate import OPERATORS

__all__ = ["SEEDS", "close", "run", "tensor"]

SEEDS = st.integers(0, 2**16)


def tensor(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def run(kind, /, **arguments):
    """The operator with its arguments as the program holds them: arrays and text."""
    given_ = {
        name: value
        if isinstance(value, str | list)
        else value.numpy()
        if isinstance(value, torch.Tensor)
        else np.asarray(value)
        for name, value in arguments.items()
    }
    return OPERATORS[kind](**given_)


def close(found, expected, tolerance=2e-6):
    found, expected = np.asarray(found), expected.numpy()
    assert found.shape == expected.shape
    scale = max(1.0, float(np.abs(expected).max(initial=0.0)))
    assert np.abs(found - expected).max(initial=0.0) <= tolerance * scale
