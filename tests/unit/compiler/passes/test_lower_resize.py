import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from hypothesis import given
from hypothesis import strategies as st

from edge_pipeline.compiler.passes.lower_resize import LowerResize
from edge_pipeline.compiler.passes.state_sizes import StateSizes
from tests.programs import exported, run_checked, targets
from tests.selection import examples

X = torch.rand(2, 3, 12, 17, generator=torch.Generator().manual_seed(0))
WAYS = {
    "nearest": {"mode": "nearest"},
    "nearest-exact": {"mode": "nearest-exact"},
    "antialiased": {"mode": "bilinear", "antialias": True},
    "bicubic": {"mode": "bicubic"},
    "bicubic, aligned": {"mode": "bicubic", "align_corners": True},
}
MATRICES = ["linear", "transpose", "linear", "transpose"]


def lowered(tolerance=2e-6, **how):
    return run_checked(
        LowerResize(), exported(lambda x: F.interpolate(x, **how), X), X, tolerance=tolerance
    )


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "asked", [{"size": (7, 30)}, {"size": (1, 1)}, {"scale_factor": (1.7, 0.4)}]
)
def test_other_ways_than_bilinear_become_matrices(way, asked):
    assert targets(lowered(**WAYS[way], **asked).program) == MATRICES


@given(rows=st.integers(1, 4), columns=st.integers(1, 4), exact=st.booleans())
@examples(6)
def test_nearest_by_whole_factors_becomes_products_with_ones(rows, columns, exact):
    mode = "nearest-exact" if exact else "nearest"
    result = lowered(0, mode=mode, scale_factor=(float(rows), float(columns)))
    assert set(targets(result.program)) <= {"reshape", "mul"}
    assert targets(result.program).count("mul") == (rows > 1) + (columns > 1)


def test_nearest_by_other_factors_is_exact_too():
    assert targets(lowered(0, mode="nearest", scale_factor=2.5).program) == MATRICES


@pytest.mark.slow
@pytest.mark.parametrize(
    "asked",
    [
        {"mode": "nearest", "scale_factor": 2.0},
        {"mode": "nearest", "size": (5, 30)},
        {"mode": "nearest-exact", "size": (5, 30)},
        {"mode": "bilinear", "scale_factor": 1.5},
        {"mode": "bilinear", "size": (5, 7), "antialias": True},
    ],
)
def test_executorch_takes_it_whole_and_gets_it_right(asked):
    exir = pytest.importorskip("executorch.exir", reason="ExecuTorch is not installed")
    partition = pytest.importorskip("executorch.backends.xnnpack.partition.xnnpack_partitioner")
    runtime = pytest.importorskip("executorch.runtime")
    program = exported(lambda x: F.interpolate(x.relu(), **asked), X)
    program = LowerResize().run(StateSizes().run(program).program).program
    edge = exir.to_edge_transform_and_lower(program, partitioner=[partition.XnnpackPartitioner()])
    outside = [n for n in edge.exported_program().graph.nodes if "aten" in str(n.target)]
    assert outside == []
    buffer = edge.to_executorch().buffer
    method = runtime.Runtime.get().load_program(buffer).load_method("forward")
    found = method.execute([X])[0].clone()
    assert (found - F.interpolate(X, **asked)).abs().max() < 2e-6


@pytest.mark.parametrize("align", [False, True])
def test_bilinear_to_a_size_stays(align):
    result = lowered(mode="bilinear", size=(5, 23), align_corners=align)
    assert not result.modified


@pytest.mark.parametrize("factor", [1.5, 0.35])
def test_bilinear_by_a_factor_that_is_not_the_ratio_becomes_matrices(factor):
    """XNNPACK would sample by the ratio of the sizes, and be off by as much as pixels differ."""
    program = exported(lambda x: F.interpolate(x, scale_factor=factor, mode="bilinear"), X)
    stated = StateSizes().run(program).program
    assert targets(run_checked(LowerResize(), stated, X, tolerance=2e-6).program) == MATRICES
    by_ratio = F.interpolate(X, (int(12 * factor), int(17 * factor)), mode="bilinear")
    assert (by_ratio - F.interpolate(X, scale_factor=factor, mode="bilinear")).abs().max() > 0.05


def test_a_free_size_stays():
    class Double(torch.nn.Module):
        def forward(self, x):
            return F.interpolate(x, scale_factor=2.0, mode="nearest")

    side = torch.export.Dim("side", min=2, max=64)
    program = torch.export.export(Double(), (X,), dynamic_shapes={"x": {2: side}})
    result = run_checked(LowerResize(), program.run_decompositions({}), X)
    assert not result.modified
