import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from hypothesis import given
from hypothesis import strategies as st

from edge_pipeline.compiler.lowering.padding import Padding, padded, reflection, window
from tests.programs import exported

MODES = {"reflect": "reflect", "zeros": "constant"}


@st.composite
def maps(draw):
    height, width = draw(st.integers(3, 9)), draw(st.integers(3, 9))
    rows, columns = draw(st.integers(0, 2)), draw(st.integers(0, 2))
    mode = draw(st.sampled_from(["reflect", "zeros"]))
    x = torch.arange(2.0 * height * width).reshape(1, 2, height, width) + 1
    return x, Padding(rows, columns, mode)


def torch_padded(x, padding):
    amounts = (padding.columns, padding.columns, padding.rows, padding.rows)
    return F.pad(x, amounts, mode=MODES[padding.mode])


@given(maps())
def test_padded_is_what_torch_pads(case):
    x, padding = case
    assert torch.equal(padded(x, padding), torch_padded(x, padding))


@given(maps(), st.sampled_from([2, 3]), st.data())
def test_a_window_is_a_stretch_of_the_padded_map(case, dim, data):
    x, padding = case
    padding = Padding(
        padding.rows if dim == 2 else 0, padding.columns if dim == 3 else 0, padding.mode
    )
    whole = torch_padded(x, padding)
    start = data.draw(st.integers(0, whole.shape[dim] - 1))
    length = data.draw(st.integers(1, whole.shape[dim] - start))
    expected = whole.narrow(dim, start, length)
    assert torch.equal(window(x, dim, start, length, padding), expected)


def test_an_edge_that_repeats_is_caught():
    x = torch.arange(16.0).reshape(1, 1, 4, 4)
    replicated = F.pad(x, (1, 1, 1, 1), mode="replicate")
    assert not torch.equal(padded(x, Padding(1, 1, "reflect")), replicated)


@pytest.mark.parametrize(
    ("amounts", "mode", "found"),
    [
        ((1, 1, 2, 2), "reflect", Padding(2, 1, "reflect")),
        ((1, 0, 1, 1), "reflect", None),
        ((1, 1, 1, 1), "replicate", None),
    ],
)
def test_only_even_reflection_is_recognised(amounts, mode, found):
    program = exported(lambda x: F.pad(x, amounts, mode=mode), torch.rand(1, 2, 5, 5))
    nodes = [reflection(n) for n in program.graph.nodes if n.op == "call_function"]
    assert [n.padding if n else None for n in nodes] == [found]
