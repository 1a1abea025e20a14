"""`edge-pipeline bisect`: exit codes, and the sentence that names pass, operator and layer."""

import pytest

pytest.importorskip("torch", reason="compiling needs torch")
pytest.importorskip("onnxscript", reason="the extra onnx is not installed")

import torch

from edge_pipeline.cli.main import main
from edge_pipeline.compiler import pipeline
from edge_pipeline.compiler.program import Editor

SMALL = ["-s", "in_channels=8", "-s", "out_channels=8", "-s", "signal_channels=8", "-s", "groups=2"]
WORDS = ["bisect", "patchwise_block", *SMALL, "-s", "patch=4", "--input", "16x16"]


class Fault:
    """Puts something else in the place of the last call of an operator."""

    name, why = "planted_fault", "to try bisect"

    def __init__(self, target, function):
        self.target = target
        self.function = function

    def run(self, program):
        editor = Editor(program)
        node = list(editor.calls(self.target))[-1]
        rest = node.args[1:]
        editor.replace(node, lambda x: self.function(x, *rest), [node.args[0]], "spoilt")
        return editor.finish()


aten = torch.ops.aten
LOST_HALO = Fault(aten.pad.default, lambda x, pads, *_: torch.nn.functional.pad(x, pads, value=9))
SWAPPED_AXES = Fault(aten.permute.default, lambda x, order: x.permute(order).transpose(2, 4))
SCALED = Fault(aten.relu6.default, lambda x: x.clamp(0, 6) * 1.001)


def test_sound(capsys):
    assert main([*WORDS, "--backend", "onnx"]) == 0
    said = capsys.readouterr().out
    assert "forward: every pass is within tolerance, and so is onnx" in said


@pytest.mark.parametrize(
    ("fault", "operator", "place"),
    [
        (LOST_HALO, "pad", "in the place of pad"),
        (SWAPPED_AXES, "transpose", "in the place of permute"),
        (SCALED, "mul", "in the place of relu6"),
    ],
)
def test_planted_fault(fault, operator, place, monkeypatch, capsys):
    monkeypatch.setitem(pipeline.PIPELINES, "onnx", (fault, *pipeline.PIPELINES["onnx"]))
    assert main([*WORDS, "--backend", "onnx"]) == 1
    said = " ".join(capsys.readouterr().out.split())
    start = f"forward: the pass planted_fault: the first operator out of tolerance is {operator} "
    assert said.startswith(start)
    assert "in the function patchwise_block.py:" in said
    assert place in said
    assert "relative error" in said


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--backend", "onnx", "--tolerance", "3"], "--tolerance 3 is not a relative error"),
        (["--backend", "no_such"], "no backend is called 'no_such'"),
        (["--backend", "onnx", "--phi", "0.3"], "no parameter 'phi' to fix"),
        (["--backend", "onnx", "--input", "15x16"], "15"),
        (["--backend", "onnx", "--filters", "folded"], "computes no weights"),
    ],
)
def test_bad_input_is_2_and_one_sentence(words, message, capsys):
    assert main([*WORDS, *words]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1


def test_a_source_that_is_none(capsys):
    assert main(["bisect", "no_such_network", "--backend", "onnx"]) == 2
    assert "neither a checkpoint" in capsys.readouterr().err


def test_a_network_of_ones_own_is_bisected(capsys, monkeypatch):
    words = ["bisect", "tests.networks.per_pixel:involution", "--input", "image=1x3x8x8"]
    assert main([*words, "--backend", "onnx"]) == 0
    assert "every pass is within tolerance, and so is onnx" in capsys.readouterr().out
    fault = Fault(aten.relu.default, lambda x: x.relu() * 1.01)
    monkeypatch.setitem(pipeline.PIPELINES, "onnx", (fault, *pipeline.PIPELINES["onnx"]))
    assert main([*words, "--backend", "onnx"]) == 1
    assert "the pass planted_fault" in capsys.readouterr().out


def test_a_network_of_ones_own_needs_its_inputs(capsys):
    words = ["bisect", "tests.networks.per_pixel:involution", "--backend", "onnx"]
    assert main(words) == 2
    assert "--input" in capsys.readouterr().err
