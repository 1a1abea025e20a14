"""Factors of weights at many knots: exact to rounding, and only where they save space."""

import numpy as np
import pytest

from edge_pipeline.compiler.source.factors import factorised


@pytest.mark.parametrize("rank", [1, 3, 6])
def test_the_product_is_the_weights(rank):
    rng = np.random.default_rng(rank)
    values = (rng.standard_normal((40, rank)) @ rng.standard_normal((rank, 500))).astype("<f4")
    coefficients, basis = factorised(values)
    assert len(basis) == rank
    error = np.abs(coefficients @ basis.astype(np.float64) - values).max()
    assert error <= 1e-6 * np.abs(values).max()


def test_weights_of_full_rank_stay_as_they_are():
    values = np.random.default_rng(0).standard_normal((30, 500)).astype(np.float32)
    assert factorised(values) is None
    assert factorised(values[:2, :3]) is None
