"""The operands and settings of conv2d, as torch's exporter writes them."""

import torch

from edge_pipeline.compiler.analysis.conv2d import Conv2d, conv2ds
from edge_pipeline.compiler.program import Editor
from tests.programs import exported


def test_settings_are_read_with_their_defaults():
    def network(x, weight, bias):
        y = torch.conv2d(x, weight)
        y = torch.conv2d(y, weight, bias, 2, (1, 0), dilation=(1, 2), groups=1)
        return torch.relu(y) + torch.conv2d(x, weight[:, :1], None, stride=3, groups=4).mean()

    x, weight = torch.rand(1, 4, 32, 32), torch.rand(4, 4, 3, 3)
    editor = Editor(exported(network, x, weight, torch.rand(4)))
    first, second, grouped = conv2ds(editor)
    assert first.is_plain
    assert first.accepts_bias
    assert second.settings == ((2, 2), (1, 0), (1, 2), 1)
    assert second.bias is not None
    assert not second.accepts_bias
    assert (grouped.stride, grouped.groups, grouped.is_plain) == ((3, 3), 4, False)
    others = [node for node in editor.graph.nodes if node.target != first.node.target]
    assert [Conv2d.of(node) for node in others] == [None] * len(others)
    assert Conv2d.of(None) is None


def test_a_convolution_with_two_users_takes_no_bias():
    def network(x, weight):
        y = torch.conv2d(x, weight)
        return y * torch.sigmoid(y)

    editor = Editor(exported(network, torch.rand(1, 2, 8, 8), torch.rand(2, 2, 3, 3)))
    assert not conv2ds(editor)[0].accepts_bias
