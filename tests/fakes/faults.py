"""A network, passes with planted faults, and the search for them."""

import pytest

pytest.importorskip("torch", reason="compiling needs torch")
pytest.importorskip("onnxscript", reason="the extra onnx is not installed")

import operator

import torch
from torch import nn

from edge_pipeline.compiler.backends.base import EmitOptions
from edge_pipeline.compiler.bisect.search import bisect
from edge_pipeline.compiler.passes.merge_duplicates import MergeDuplicates
from edge_pipeline.compiler.program import Editor, layer_of
from edge_pipeline.runtime.onnx import open_session

aten = torch.ops.aten
CHANNELS, GRID = 6, 4
NORM = "_native_batch_norm_legit_no_training"


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(CHANNELS)
        self.norm.running_mean.normal_()
        self.norm.running_var.uniform_(0.05, 0.5)

    def forward(self, x):
        return torch.relu(self.norm(self.conv(x)))


class Patches(nn.Module):
    """A weight for every patch and channel, from a signal of one value a patch."""

    def __init__(self) -> None:
        super().__init__()
        self.mapper = nn.Conv2d(2, CHANNELS, 1)

    def forward(self, x, signal):
        weight = self.mapper(signal)  # [1, C, rows, columns]
        n, c, height, width = x.shape
        patches = x.view(n, c, GRID, height // GRID, GRID, width // GRID)
        return (patches * weight[:, :, :, None, :, None]).reshape(n, c, height, width)


class Net(nn.Module):
    """What this package compiles, in small: normalisation, patches, convolutions, a skip."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Conv2d(3, CHANNELS, 1)
        self.first = Block()
        self.patches = Patches()
        self.second = Block()
        self.third = Block()
        self.tail = nn.Conv2d(2 * CHANNELS, 3, 1)

    def forward(self, x, signal):
        x = self.head(x)
        y = self.second(self.patches(self.first(x), signal))
        return self.tail(torch.cat([self.third(y), x], 1))


class Rewrite:
    """A pass that rewrites the calls of an operator, all or those of one layer."""

    why = "to try bisect"

    def __init__(self, name, target, function, layer=""):
        self.name = name
        self.target = target
        self.function = function
        self.layer = layer

    def run(self, program):
        editor = Editor(program)
        for node in editor.calls(self.target):
            if layer_of(node).startswith(self.layer):
                operands, function = self.function(editor, node)
                editor.replace(node, function, operands, self.name)
        return editor.finish()


def normalise(epsilon):
    """Batch norm as a product and a sum, with another epsilon than the layer's."""

    def rewrite(editor, node):
        x, weight, bias, mean, variance = node.args[0].args[:5]

        def function(x, weight, bias, mean, variance):
            scale = weight / torch.sqrt(variance + epsilon)
            shift = bias - mean * scale
            return x * scale[:, None, None] + shift[:, None, None]

        return [x, weight, bias, mean, variance], function

    return rewrite


def fold_norm(epsilon, layer=""):
    return Rewrite("fold_batch_norm", operator.getitem, normalise(epsilon), layer)


def shifted(halo):
    """A 3x3 convolution as nine shifted 1x1 ones; without halo, the border repeats."""

    def rewrite(editor, node):
        def function(x, weight):
            height, width = x.shape[2:]
            mode = {"mode": "constant"} if halo else {"mode": "replicate"}
            padded = nn.functional.pad(x, (1, 1, 1, 1), **mode)
            total = torch.zeros_like(x)
            for row in range(3):
                for column in range(3):
                    window = padded[:, :, row : row + height, column : column + width]
                    total = total + torch.conv2d(window, weight[:, :, row, column][..., None, None])
            return total

        return [node.args[0], node.args[1]], function

    return rewrite


def lower(halo, layer=""):
    return Rewrite("lower_convolution", aten.conv2d.default, shifted(halo), layer)


def patch_weights(axes):
    """The weights of patches laid out anew; swapped axes have the same shape."""

    def rewrite(editor, node):
        patches, weight = node.args

        def function(patches, weight):
            return patches * weight.permute(axes)

        return [patches, weight], function

    return rewrite


def lower_patches(axes):
    return Rewrite("lower_patchwise", aten.mul.Tensor, patch_weights(axes), "patches")


GOOD = (fold_norm(1e-5), lower_patches((0, 1, 2, 3, 4, 5)), MergeDuplicates())


def find(net, passes, backend=None, options=None, **kwargs):
    program, inputs = net
    options = options or EmitOptions("forward", ("x", "signal"), ("y",))
    return bisect(program, inputs, passes, backend, options, open_session, **kwargs)
