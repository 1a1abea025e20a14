"""Write the API pages from the docstrings, with pdoc: `python tools/api_page.py [FOLDER]`.

The pages contain the public names of `edge_pipeline` and the modules that extensions use. They
require no network, neither to build nor to read. A warning of pdoc is an error.
"""

import re
import shutil
import sys
import warnings
from importlib import import_module
from pathlib import Path
from unittest.mock import patch

import edge_pipeline

__all__ = ["FOLDER", "MODULES", "build", "shorten"]

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "docs" / "_build" / "api"
TEMPLATES = ROOT / "tools" / "api_page_templates"

# The modules that CONTRIBUTING.md's extensions implement or call.
MODULES = (
    "edge_pipeline.artifact.manifest",
    "edge_pipeline.artifact.schema",
    "edge_pipeline.compiler.backends.base",
    "edge_pipeline.compiler.program",
    "edge_pipeline.data.pictures",
    "edge_pipeline.errors",
    "edge_pipeline.harness.devices.base",
    "edge_pipeline.models.base",
    "edge_pipeline.models.network",
    "edge_pipeline.raw.capture",
    "edge_pipeline.registry",
    "edge_pipeline.runtime.base",
)

# How a type is written in the code, in place of how Python prints it.
_SHORTER = (
    (re.compile(r"numpy\.ndarray\[tuple\[(?:typing\.)?Any, \.\.\.\], numpy\.dtype\[(.+?)\]\]"),
     r"NDArray[\1]"),
    (re.compile(r"(?:typing\.)?Annotated\[(\w+), (?:[^\[\]]|\[[^\[\]]*\])*\]"), r"\1"),
    (re.compile(r"pathlib\._local\."), "pathlib."),
    (re.compile(r"collections\.abc\.|\btyping\."), ""),
)  # fmt: skip


def shorten(annotation: str) -> str:
    """Return a type's text as the code has it: `NDArray[X]`, `int` for an `Annotated` one."""
    for pattern, replacement in _SHORTER:
        annotation = pattern.sub(replacement, annotation)
    return annotation


def build(folder: Path = FOLDER) -> Path:
    """Write the pages into `folder`, which is replaced, and return the path of the first page.

    Args:
        folder: path of the folder.

    Raises:
        Warning: if pdoc warns, for example of a public name that does not exist.
    """
    import pdoc

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # libraries' warnings about each other
        for module in MODULES:
            import_module(module)
        public = {name: getattr(edge_pipeline, name) for name in edge_pipeline.__all__}
    shutil.rmtree(folder, ignore_errors=True)
    pdoc.render.configure(
        docformat="google",
        footer_text=f"edge_pipeline {edge_pipeline.__version__}",
        template_directory=TEMPLATES,
    )
    with (
        # pdoc does not see names that are imported on use, nor has it an option for types.
        patch.dict(vars(edge_pipeline), public),
        patch.object(pdoc.doc, "_remove_collections_abc", shorten),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("error")
        # pydantic's classes have a method `dict`, which pdoc takes for the type of this name.
        unfounded = r"Error parsing type annotation .* for pydantic\."
        warnings.filterwarnings("ignore", message=unfounded)
        pdoc.pdoc("edge_pipeline", r"!edge_pipeline\..+", *MODULES, output_directory=folder)
    return folder / "edge_pipeline.html"


if __name__ == "__main__":
    print(build(*(Path(word) for word in sys.argv[1:2])))
