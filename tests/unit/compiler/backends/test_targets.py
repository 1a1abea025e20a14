"""Backends are opened in one place, and say what float16 is worth on the target."""

import importlib.util

import pytest

pytest.importorskip("torch", reason="compiling needs torch")

import torch
from torch import nn

from edge_pipeline.compiler.backends.base import EmitOptions, half_notes, open_backend
from edge_pipeline.compiler.pipeline import passes_for, run_passes
from edge_pipeline.errors import InputError, UnknownNameError
from edge_pipeline.registry import BACKENDS
from tests.compiled import PACKAGES
from tests.programs import exported


@pytest.mark.parametrize("backend", ["onnx", "executorch", "litert", "coreml"])
def test_an_unknown_device_is_refused_for_every_backend(backend):
    with pytest.raises(
        InputError, match=r"no device profile is called 'nope'; choose from .*x86_epyc"
    ):
        open_backend(backend, "fp32", "nope")


def test_unknown_names_and_precisions_are_refused():
    with pytest.raises(UnknownNameError, match="no backend is called 'nope'; choose from coreml"):
        open_backend("nope", "fp32", "x86_epyc")
    with pytest.raises(InputError, match="does not support int8; it supports fp32, fp16"):
        open_backend("executorch_vulkan", "int8", "x86_epyc")


@pytest.mark.parametrize("arch", ["x86_64", "aarch64"])
@pytest.mark.parametrize("backend", ["onnx", "executorch", "litert"])
def test_float16_on_x86_has_a_note(backend, arch):
    if importlib.util.find_spec(PACKAGES[backend].split(".")[0]) is None:
        pytest.skip(f"the extra {backend} is not installed")
    x = torch.rand(1, 3, 8, 8)
    passes = passes_for(backend, precision="fp16")
    program = run_passes(exported(nn.Conv2d(3, 4, 3).eval(), x), passes, [x])
    options = EmitOptions("forward", ["x"], ["y"], "fp16", arch=arch)
    notes = BACKENDS.load(backend).emit(program, options).notes
    assert any("is not faster on x86" in note for note in notes) == (arch == "x86_64")


def test_float32_has_none():
    assert (
        half_notes(EmitOptions("forward", ["x"], ["y"], "fp32", arch="x86_64"), "it is slow") == ()
    )
