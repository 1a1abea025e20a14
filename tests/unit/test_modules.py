"""What holds for every module: it is imported when needed, and says what it offers."""

import importlib
import pkgutil
import subprocess
import sys

import pytest

import edge_pipeline
from edge_pipeline.registry import BACKENDS, DATASETS, DEVICES, MODELS, RUNTIMES, Registry

HEAVY = "{'torch', 'onnxruntime', 'executorch', 'coremltools', 'rawpy', 'numpy', 'onnx'}"
MODULES = sorted(
    module.name for module in pkgutil.walk_packages(edge_pipeline.__path__, "edge_pipeline.")
)


def _heavy_after(statement: str) -> str:
    program = f"import sys\n{statement}\nprint(sorted({HEAVY} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout.splitlines()[-1]


@pytest.mark.parametrize(
    "statement",
    ["import edge_pipeline", "from edge_pipeline.cli.main import main; main(['--help'])"],
)
def test_import_and_help_need_neither_torch_nor_a_runtime(statement: str) -> None:
    assert _heavy_after(statement) == "[]"


def test_the_import_check_sees_a_heavy_import() -> None:
    assert _heavy_after("import numpy") == "['numpy']"


@pytest.mark.parametrize("name", MODULES)
def test_module_offers_what_it_names(name: str) -> None:
    module = importlib.import_module(name)
    assert module.__doc__, f"{name} does not say what it is"
    missing = [public for public in module.__all__ if not hasattr(module, public)]
    assert missing == []
    assert len(set(module.__all__)) == len(module.__all__)


def test_package_loads_every_public_name() -> None:
    for name in edge_pipeline.__all__:
        assert getattr(edge_pipeline, name) is not None
    assert set(edge_pipeline.__all__) <= set(dir(edge_pipeline))


def test_package_has_no_other_name() -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = edge_pipeline.no_such_name


@pytest.mark.parametrize("registry", [BACKENDS, DATASETS, DEVICES, MODELS, RUNTIMES])
def test_every_registered_module_is_there(registry: Registry) -> None:
    for name in registry.names():
        assert registry.load(name).__name__.startswith("edge_pipeline.")
