"""A saturated scale is found; a sound one passes."""

import pytest

pytest.importorskip("torchao.quantization.pt2e", reason="the executorch extra is not installed")

import torch
from torch import nn

from edge_pipeline.compiler.backends.executorch.pt2e import check_ranges, quantise
from edge_pipeline.compiler.program import run_program
from edge_pipeline.errors import CompileError
from tests.programs import exported

SIZE = (1, 3, 12, 16)


@pytest.fixture(scope="module")
def source():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 4, 3, padding=1))
    return exported(net, torch.rand(SIZE))


@pytest.fixture(scope="module")
def samples():
    torch.manual_seed(1)
    return tuple((torch.rand(SIZE),) for _ in range(4))


def scales_of(program):
    return [
        node
        for node in program.graph.nodes
        if str(node.target) == "quantized_decomposed.quantize_per_tensor.default"
    ]


def test_close_to_float(source, samples):
    found, notes = quantise(source, samples)
    assert notes == ()
    expected = run_program(source, samples[0])[0]
    error = (run_program(found, samples[0])[0] - expected).norm() / expected.norm()
    assert 1e-4 < error < 0.05


@pytest.mark.parametrize("which", [0, 1, 2])
def test_a_saturated_scale_is_refused(source, samples, which):
    program, _ = quantise(source, samples)
    check_ranges(program, samples)
    node = scales_of(program)[which]
    node.update_arg(1, node.args[1] / 4)
    with pytest.raises(CompileError, match=r"int8 with the scale .* clips \d.*calibrate"):
        check_ranges(program, samples)


def test_a_scale_that_is_no_number_is_refused(source, samples):
    program, _ = quantise(source, samples)
    scales_of(program)[0].update_arg(1, float("nan"))
    with pytest.raises(CompileError, match="the scale nan"):
        check_ranges(program, samples)


def test_samples_brighter_than_those_observed_are_refused(source, samples):
    program, _ = quantise(source, [(sample * 0.2,) for (sample,) in samples])
    with pytest.raises(CompileError, match="span the values that the network will see"):
        check_ranges(program, samples)


class Shares(nn.Module):
    """Divides by a sum that is close to zero at most places."""

    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 4, 3, padding=1)

    def forward(self, x):
        y = self.first(x).relu()
        y = y / (y.square().square().mean(1, keepdim=True) + 1e-6)
        return self.last(y.clamp(0, 1))


def test_operators_whose_ranges_are_lost_stay_float_and_a_note_says_so(samples):
    torch.manual_seed(0)
    source = exported(Shares().eval(), torch.rand(SIZE))
    found, notes = quantise(source, samples)
    assert len(notes) == 1
    assert notes[0].startswith("int8 only in convolutions and linear layers, since otherwise ")
    products = [n for n in found.graph.nodes if "conv2d" in str(n.target)]
    assert all("dequantize" in n.args[0].name for n in products)
    assert not any("div" in scale.args[0].name for scale in scales_of(found))
    expected = run_program(source, samples[0])[0]
    error = (run_program(found, samples[0])[0] - expected).norm() / expected.norm()
    assert error < 0.1
