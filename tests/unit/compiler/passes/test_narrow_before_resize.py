import pytest

pytest.importorskip("torch", reason="compiling needs torch")

import torch
import torch.nn.functional as F  # noqa: N812
from hypothesis import given
from hypothesis import strategies as st

from edge_pipeline.compiler.passes.narrow_before_resize import NarrowBeforeResize
from tests.programs import exported, run_checked, targets
from tests.selection import examples

STEP = NarrowBeforeResize()


def tail(scale=None, size=None, kernel=3, padding=None, align=True, n_out=2):
    reach = kernel // 2 if padding is None else padding
    torch.manual_seed(0)
    weight, bias = torch.randn(n_out, 12, kernel, kernel), torch.randn(n_out)

    def function(x):
        x = F.interpolate(x, scale_factor=scale, size=size, mode="bilinear", align_corners=align)
        return F.conv2d(F.pad(x, (reach,) * 4, mode="reflect"), weight, bias)

    return function


@examples(12)
@given(
    rows=st.integers(3, 9),
    columns=st.integers(3, 9),
    scale=st.tuples(st.sampled_from([1.0, 2.0, 3.0]), st.sampled_from([1.0, 2.0, 1.5])),
    kernel=st.sampled_from([3, 5]),
    align=st.booleans(),
)
def test_it_computes_the_same(rows, columns, scale, kernel, align):
    x = torch.rand(1, 12, rows, columns)
    result = run_checked(STEP, exported(tail(scale, None, kernel, None, align), x), x)
    assert result.modified
    assert targets(result.program).count("upsample_bilinear2d") == 2


def test_sizes_instead_of_factors():
    x = torch.rand(1, 12, 5, 6)
    assert run_checked(STEP, exported(tail(size=(13, 11)), x), x).modified


def test_free_sizes():
    from torch.export import Dim

    class Tail(torch.nn.Module):
        function = staticmethod(tail((2.0, 2.0)))

        def forward(self, x):
            return self.function(x)

    shapes = ({2: 4 * Dim("h", min=1, max=64), 3: 4 * Dim("w", min=1, max=64)},)
    x = torch.rand(1, 12, 8, 12)
    program = torch.export.export(Tail(), (x,), dynamic_shapes=shapes).run_decompositions({})
    result = run_checked(STEP, program, x)
    assert result.modified
    other = torch.rand(1, 12, 16, 4)
    assert run_checked(STEP, program, other).modified


def test_computed_weights():
    def function(x, weight):
        x = F.interpolate(x, scale_factor=2.0, mode="bilinear")
        return F.conv2d(F.pad(x, (1, 1, 1, 1), mode="reflect"), weight)

    x, weight = torch.rand(1, 12, 5, 6), torch.randn(3, 12, 3, 3)
    assert run_checked(STEP, exported(function, x, weight), x, weight).modified


def used_twice(x):
    up = F.interpolate(x, scale_factor=2.0, mode="bilinear")
    y = F.conv2d(F.pad(up, (1, 1, 1, 1), mode="reflect"), torch.ones(2, 12, 3, 3))
    return y + up.mean()


def strided(x):
    up = F.interpolate(x, scale_factor=2.0, mode="bilinear")
    return F.conv2d(F.pad(up, (1, 1, 1, 1), mode="reflect"), torch.ones(2, 12, 3, 3), stride=2)


@pytest.mark.parametrize(
    "function",
    [
        tail((0.5, 0.5)),
        tail((2.0, 2.0), n_out=5),
        tail((2.0, 2.0), padding=2),
        tail((2.0, 2.0), kernel=1, padding=0),
        used_twice,
        strided,
    ],
    ids=["shrinks", "wide", "more padding", "pointwise", "used twice", "stride"],
)
def test_what_stays(function):
    x = torch.rand(1, 12, 8, 8)
    assert not run_checked(STEP, exported(function, x), x).modified


def test_weights_keep_their_bytes_in_another_order():
    """So that they can be exchanged later."""
    from edge_pipeline.artifact.constants import locate
    from edge_pipeline.compiler.passes.fold_constants import FoldConstants
    from edge_pipeline.compiler.program import constants_of

    x = torch.rand(1, 12, 5, 6)
    program = FoldConstants().run(STEP.run(exported(tail((2.0, 2.0)), x)).program).program
    torch.manual_seed(0)
    weight = torch.randn(2, 12, 3, 3).numpy()
    files = {name: value.numpy().tobytes() for name, value in constants_of(program).items()}
    assert [c.axes for c in locate(files, {"w": weight}).constants] == [(2, 0, 1, 3)]
