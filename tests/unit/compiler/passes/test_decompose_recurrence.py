import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from edge_pipeline.compiler.passes import decompose_recurrence
from edge_pipeline.compiler.passes.decompose_recurrence import DecomposeRecurrence
from tests.compiled import PACKAGES, outputs_of
from tests.programs import exported, run_checked, targets
from tests.selection import examples

KINDS = st.sampled_from(["GRU", "LSTM", "RNN"])


class Sequence(nn.Module):
    """A recurrent layer; its outputs and its last state."""

    def __init__(self, kind, **options):
        super().__init__()
        torch.manual_seed(0)
        self.layer = getattr(nn, kind)(3, 5, **options)

    def forward(self, x):
        y, state = self.layer(x)
        return (y, *state) if isinstance(state, tuple) else (y, state)


@examples(12)
@given(KINDS, st.integers(1, 2), st.booleans(), st.booleans(), st.booleans(), st.integers(1, 3))
def test_layers_are_written_out(kind, layers, biases, both, first, steps):
    network = Sequence(kind, num_layers=layers, bias=biases, bidirectional=both, batch_first=first)
    x = torch.randn((2, steps, 3) if first else (steps, 2, 3))
    result = run_checked(DecomposeRecurrence(), exported(network, x), x, tolerance=2e-6)
    assert not {"gru", "lstm", "rnn_tanh"} & set(targets(result.program))


def test_relu_may_be_the_activation():
    x = torch.randn(3, 2, 3)
    program = exported(Sequence("RNN", nonlinearity="relu"), x)
    result = run_checked(DecomposeRecurrence(), program, x, tolerance=2e-6)
    assert "rnn_relu" not in targets(result.program)


def test_projected_states_and_long_sequences_stay(monkeypatch):
    monkeypatch.setattr(decompose_recurrence, "_MOST", 7)
    short, long = torch.randn(3, 2, 3), torch.randn(8, 1, 3)
    program = exported(Sequence("LSTM", proj_size=2), short)
    assert not run_checked(DecomposeRecurrence(), program, short).modified
    result = DecomposeRecurrence().run(exported(Sequence("GRU"), long))
    assert not result.modified
    assert "8 steps are too many" in result.notes[0]


class Cells(nn.Module):
    """Two steps of a cell; its last state."""

    def __init__(self, kind, **options):
        super().__init__()
        torch.manual_seed(0)
        self.cell = getattr(nn, kind)(3, 5, **options)

    def forward(self, x):
        return self.cell(x[1], self.cell(x[0]))


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("kind", ["GRUCell", "LSTMCell", "RNNCell"])
def test_cells_are_written_out(kind, bias):
    x = torch.randn(2, 4, 3)
    program = exported(Cells(kind, bias=bias), x)
    result = run_checked(DecomposeRecurrence(), program, x, tolerance=2e-6)
    assert not any("cell" in target for target in targets(result.program))


@pytest.mark.parametrize("backend", [pytest.param("executorch", marks=pytest.mark.slow), "litert"])
def test_runtimes_take_all_of_it(tmp_path, backend):
    pytest.importorskip(PACKAGES[backend], reason=f"the extra {backend} is not installed")
    network, x = Sequence("GRU", bidirectional=True, batch_first=True).eval(), torch.randn(1, 2, 3)
    found = outputs_of(backend, network, [x], tmp_path)
    with torch.no_grad():
        expected = network(x)
    for new, old in zip(found, expected, strict=True):
        torch.testing.assert_close(torch.from_numpy(new), old, atol=1e-5, rtol=1e-4)
