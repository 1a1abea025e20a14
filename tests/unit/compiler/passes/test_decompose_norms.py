import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from edge_pipeline.compiler.passes.decompose_norms import DecomposeNorms
from tests.programs import exported, run_checked, targets

NORMS = {"layer_norm", "rms_norm", "group_norm", "instance_norm"}


def lively(norm):
    for parameter in norm.parameters():
        nn.init.normal_(parameter)
    return norm


@pytest.mark.parametrize(
    ("norm", "shape"),
    [
        (nn.LayerNorm(6), (2, 5, 6)),
        (nn.LayerNorm([5, 6], eps=1e-3), (2, 5, 6)),
        (nn.LayerNorm(6, bias=False), (5, 6)),
        (nn.LayerNorm(6, elementwise_affine=False), (1, 2, 5, 6)),
        (nn.RMSNorm(6), (2, 5, 6)),
        (nn.RMSNorm(6, eps=1e-2, elementwise_affine=False), (2, 5, 6)),
        (nn.GroupNorm(2, 8), (2, 8, 5, 6)),
        (nn.GroupNorm(1, 8, affine=False), (1, 8, 5, 6)),
        (nn.GroupNorm(8, 8), (1, 8, 5, 6)),
        (nn.GroupNorm(4, 8, eps=0.1), (2, 8, 9)),
        (nn.GroupNorm(4, 8), (2, 8, 3, 4, 5)),
        (nn.InstanceNorm2d(8, affine=True), (2, 8, 5, 6)),
        (nn.InstanceNorm2d(8), (1, 8, 5, 6)),
        (nn.InstanceNorm1d(8, affine=True), (2, 8, 9)),
    ],
)
def test_a_norm_becomes_its_parts(norm, shape):
    x = torch.randn(shape) * 3 + 1
    result = run_checked(DecomposeNorms(), exported(lively(norm), x), x, tolerance=3e-6)
    assert not NORMS & set(targets(result.program))


def test_large_means_cost_no_precision():
    x = torch.randn(1, 8, 5, 6) + 1000
    result = DecomposeNorms().run(exported(nn.GroupNorm(2, 8), x))
    (found,) = (v for v in [result.program.module()(x)])
    assert torch.allclose(found, F.group_norm(x.double(), 2).float(), atol=2e-3)


def test_computed_gamma_and_beta():
    inputs = (torch.randn(1, 8, 5, 6), torch.randn(8), torch.randn(8))
    program = exported(lambda x, g, b: F.group_norm(x, 4, g * 2, b), *inputs)
    assert run_checked(DecomposeNorms(), program, *inputs, tolerance=3e-6).modified


def test_layer_norm_can_be_left():
    x = torch.randn(2, 8, 5, 6)
    module = nn.Sequential(nn.LayerNorm(6), nn.GroupNorm(2, 8))
    result = run_checked(DecomposeNorms(layers=False), exported(module, x), x, tolerance=3e-6)
    assert NORMS & set(targets(result.program)) == {"layer_norm"}


def test_instance_norm_by_running_statistics_stays():
    x = torch.randn(2, 8, 5, 6)
    program = exported(nn.InstanceNorm2d(8, track_running_stats=True), x)
    result = run_checked(DecomposeNorms(), program, x)
    assert targets(result.program) == targets(program)
