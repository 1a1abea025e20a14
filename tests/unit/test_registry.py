"""A registry is a fixed table: no name twice, no unknown name in silence, nothing loaded early."""

import itertools
import sys
import tomllib

import grimp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_pipeline.errors import UnknownNameError
from edge_pipeline.files import packaged
from edge_pipeline.registry import (
    BACKENDS,
    DATASETS,
    DEVICES,
    EXTRAS,
    LABELLED_SETS,
    MODELS,
    RUNTIMES,
    Registry,
)

NAMES = st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=6)


@given(NAMES)
def test_it_has_each_name_once_or_refuses(names: list[str]) -> None:
    entries = tuple((name, "json") for name in names)
    if len(set(names)) == len(names):
        assert Registry("thing", entries).names() == sorted(names)
    else:
        with pytest.raises(ValueError, match="registered twice"):
            Registry("thing", entries)


def test_a_name_that_stands_twice_is_told() -> None:
    with pytest.raises(ValueError, match="model registry: unet is registered twice"):
        Registry("model", (("unet", "a"), ("other", "b"), ("unet", "c")))


def test_an_unknown_name_is_refused_with_those_there_are() -> None:
    registry = Registry("model", (("unet", "json"), ("lenet", "csv")))
    with pytest.raises(UnknownNameError, match="no model is called 'vgg'; choose from lenet, unet"):
        registry.load("vgg")
    assert "vgg" not in registry
    assert "unet" in registry


def test_a_module_is_imported_when_asked_for() -> None:
    name = "xml.dom.pulldom"
    sys.modules.pop(name, None)
    registry = Registry("thing", (("dom", name),))
    assert name not in sys.modules
    assert registry.load("dom").__name__ == name


def test_entries_do_not_import_each_other() -> None:
    graph = grimp.build_graph("edge_pipeline", cache_dir=None)
    for registry in (BACKENDS, DATASETS, DEVICES, LABELLED_SETS, MODELS, RUNTIMES):
        modules = [registry.load(name).__name__ for name in registry.names()]
        for one, other in itertools.permutations(modules, 2):
            assert not graph.chain_exists(importer=one, imported=other), f"{one} reaches {other}"


def test_each_backend_has_an_extra_that_exists() -> None:
    project = tomllib.loads((packaged("devices").parent / "pyproject.toml").read_text())
    known = project["project"]["optional-dependencies"]
    assert sorted(EXTRAS) == BACKENDS.names()
    assert all(extra in known for extras in EXTRAS.values() for extra in extras.split(","))
