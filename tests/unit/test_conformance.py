"""Each registered module has what its layer asks for, and a new one is not half added."""

import dataclasses
import importlib
import inspect
import pkgutil
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="networks and compiler need torch")

import torch

import edge_pipeline.compiler.passes as passes
from edge_pipeline import registry
from edge_pipeline.compiler.pipeline import passes_for
from edge_pipeline.models.base import build_model
from edge_pipeline.models.network import Network
from edge_pipeline.registry import BACKENDS, MODELS, Registry
from tests import conformance

TESTS = Path(__file__).parent
KINDS = ("BACKENDS", "RUNTIMES", "MODELS", "DATASETS", "DEVICES", "LABELLED_SETS", "TASKS")
PASS_MODULES = sorted(module.name for module in pkgutil.iter_modules(passes.__path__))
# The passes of no pipeline: it is made for one fixed value.
APART = {"specialise"}


@pytest.mark.parametrize("kind", KINDS)
def test_a_registered_module_is_held_to_its_protocol(kind: str) -> None:
    table: Registry = getattr(registry, kind)
    held = getattr(conformance, kind)
    assert sorted(held) == table.names(), f"add it to {kind} in tests/conformance.py"
    for name, module in held.items():
        assert module is table.load(name)


@pytest.mark.parametrize("kind", KINDS)
def test_a_registered_module_is_named_in_a_test(kind: str) -> None:
    texts = [path.read_text() for path in TESTS.parent.rglob("test_*.py")]
    for name in getattr(registry, kind).names():
        module = getattr(registry, kind).load(name).__name__
        assert any(f'"{name}"' in text or module in text for text in texts), name


@pytest.mark.parametrize("name", MODELS.names())
def test_a_network_has_all_of_the_protocol_and_options_with_defaults(name: str) -> None:
    fields = dataclasses.fields(MODELS.load(name).Options)
    assert all(field.default is not dataclasses.MISSING for field in fields)
    with torch.device("meta"):
        network = build_model(name)
    missing = [key for key in Network.__annotations__ if not hasattr(network, key)]
    assert missing == []


@pytest.mark.parametrize("name", PASS_MODULES)
def test_a_pass_is_in_a_pipeline_and_has_a_test_and_an_example(name: str) -> None:
    module = importlib.import_module(f"{passes.__name__}.{name}")
    own = [
        value
        for value in vars(module).values()
        if inspect.isclass(value) and value.__module__ == module.__name__ and hasattr(value, "why")
    ]
    assert [step.name for step in own] == [name], "one pass a file, named as the file"
    text = inspect.getdoc(own[0]) or ""
    assert "becomes" in text or "->" in text, f"{name} shows no worked example"
    assert (TESTS / "compiler" / "passes" / f"test_{name}.py").exists()
    used = {
        step.name
        for backend in BACKENDS.names()
        for precision in ("fp32", "fp16", "int8")
        for step in passes_for(backend, precision=precision)
    }
    assert name in used | APART
