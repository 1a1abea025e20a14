import pytest

pytest.importorskip("litert_torch", reason="the litert extra is not installed")

import numpy as np
import torch
from ai_edge_litert.interpreter import Interpreter

from edge_pipeline.compiler.backends.litert.concatenation import MOST, split_concatenations
from edge_pipeline.compiler.backends.litert.convert import convert, layer_in
from edge_pipeline.compiler.backends.litert.delegation import place
from tests.programs import exported


class Strips(torch.nn.Module):
    """Parts of a map of unlike height, put together again, twice as large."""

    def __init__(self, heights):
        super().__init__()
        self.inner = torch.nn.Identity()
        self.heights = heights

    def forward(self, x):
        parts = [self.inner(part) * float(i) for i, part in enumerate(x.split(self.heights, 2), 2)]
        return torch.cat(parts, 2).relu()


@pytest.mark.parametrize("count", [MOST, MOST + 1, 7, 24, 31])
def test_all_is_delegated_and_in_the_same_order(count):
    heights = [1 + i % 3 for i in range(count)]
    network = Strips(heights)
    x = torch.randn(1, 3, sum(heights), 5)
    data = convert(exported(network, x), ["x"], ["y"])
    split = split_concatenations(data)
    assert (split == data) == (count <= MOST)
    # The limit is the delegate's own: without the split, this is what stays outside.
    assert [o.kind for o in place(data).outside] == (["CONCATENATION"] if count > MOST else [])
    assert place(split).outside == ()
    interpreter = Interpreter(model_content=split)
    interpreter.allocate_tensors()
    (found,) = interpreter.get_signature_runner()(x=x.numpy()).values()
    np.testing.assert_allclose(found, network(x).numpy(), atol=1e-6)


def test_only_what_is_too_many_is_copied_twice():
    network = Strips([1] * 7)
    data = convert(exported(network, torch.randn(1, 3, 7, 5)), ["x"], ["y"])
    widths = [
        len(o.shapes) for o in place(split_concatenations(data)).inside if o.kind == "CONCATENATION"
    ]
    assert widths == [3, 5]


def test_layers_are_read_from_tensors_names():
    assert layer_in("_hyper/conv0;12") == "hyper.conv0"
    assert layer_in(";_a/b;_c;7") == "a.b"
    assert layer_in("PartitionedCall:0") == "the network itself"
