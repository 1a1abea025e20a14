"""The API pages contain every public name with its docstring, and nothing that differs by run."""

import html
import importlib
import inspect
import re
from pathlib import Path

import pytest

import edge_pipeline
from tools.api_page import MODULES, build, shorten


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("pdoc", reason="pdoc is not installed; it is part of the extra dev")
    pytest.importorskip("torch", reason="the extra train is not installed")
    return build(tmp_path_factory.mktemp("api") / "made").parent


def _text(page: Path) -> str:
    plain = re.sub(r"<[^>]+>", "", page.read_text(encoding="utf-8"))
    return " ".join(html.unescape(plain).split())


def _docstring_after(page: Path, name: str) -> str:
    """The text of the first docstring in the section of a name."""
    markup = page.read_text(encoding="utf-8")
    assert f'<section id="{name}">' in markup, f"{page.name} has no {name}"
    section = markup.partition(f'<section id="{name}">')[2].partition("</section>")[0]
    found = re.search(r'<div class="docstring">(.*?)</div>', section, re.DOTALL)
    return "" if found is None else re.sub(r"<[^>]+>", "", found[1]).strip()


def test_every_public_name_has_its_docstring(pages: Path) -> None:
    page = pages / "edge_pipeline.html"
    for name in edge_pipeline.__all__:
        first = str(inspect.getdoc(getattr(edge_pipeline, name))).split()[0]
        assert html.unescape(_docstring_after(page, name)).startswith(first.strip("`")), name


@pytest.mark.parametrize("module", MODULES)
def test_modules_for_extensions_have_pages(pages: Path, module: str) -> None:
    page = pages / f"{module.replace('.', '/')}.html"
    for name in importlib.import_module(module).__all__:
        value = getattr(importlib.import_module(module), name)
        if inspect.isclass(value) or inspect.isfunction(value):
            assert _docstring_after(page, name), f"{module}.{name} has no docstring"


def test_every_page_links_all_others(pages: Path) -> None:
    first = (pages / "edge_pipeline.html").read_text(encoding="utf-8")
    for module in MODULES:
        assert f'href="{module.replace(".", "/")}.html"' in first
    assert 'href="../edge_pipeline.html"' in (pages / "edge_pipeline/errors.html").read_text(
        "utf-8"
    )


def test_pages_show_types_as_the_code_has_them(pages: Path) -> None:
    shown = "".join(_text(page) for page in pages.rglob("*.html"))
    assert "NDArray[" in shown
    for noise in ("PydanticUndefined", " at 0x", "pathlib._local", "numpy.ndarray[", "*args"):
        assert noise not in shown


@pytest.mark.parametrize(
    ("printed", "shown"),
    [
        ("numpy.ndarray[tuple[typing.Any, ...], numpy.dtype[numpy.uint8]]", "NDArray[numpy.uint8]"),
        ("tuple[typing.Annotated[int, Gt(gt=0)], ...]", "tuple[int, ...]"),
        ("Optional[Annotated[float, FieldInfo(metadata=[Ge(ge=0)])]]", "Optional[float]"),
        ("pathlib._local.Path | str", "pathlib.Path | str"),
        ("collections.abc.Mapping[str, int]", "Mapping[str, int]"),
    ],
)
def test_types_are_shortened(printed: str, shown: str) -> None:
    assert shorten(printed) == shown
