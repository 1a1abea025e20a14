import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from edge_pipeline.compiler.passes.decompose_statistics import DecomposeStatistics
from tests.programs import exported, run_checked, targets

STATISTICS = {"var", "std", "linalg_vector_norm", "cosine_similarity"}


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x.var(1),
        lambda x: x.var((1, 2), keepdim=True),
        lambda x: x.var((0, 2), correction=0),
        lambda x: x.std(-1),
        lambda x: x.std(1, unbiased=False, keepdim=True),
        lambda x: x.var(),
        lambda x: x.norm(dim=1),
        lambda x: x.norm(p=1, dim=(1, 2), keepdim=True),
        lambda x: x.norm(p=float("inf"), dim=2),
        lambda x: F.normalize(x, dim=1),
        lambda x: F.cosine_similarity(x, x.flip(0), dim=1),
        lambda x: F.cosine_similarity(x, x * 0.0, dim=-1),
    ],
)
def test_a_statistic_becomes_sums(function):
    x = torch.randn(3, 4, 5)
    result = run_checked(DecomposeStatistics(), exported(function, x), x)
    assert result.modified
    assert not STATISTICS & set(targets(result.program))


def test_other_orders_stay():
    x = torch.randn(3, 4)
    program = exported(lambda x: x.norm(p=3, dim=1), x)
    assert not run_checked(DecomposeStatistics(), program, x).modified
