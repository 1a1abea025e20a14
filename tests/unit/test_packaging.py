"""What is stated in several files about versions, Pythons and extras agrees."""

import re
import tomllib
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from edge_pipeline import __version__

ROOT = Path(__file__).resolve().parents[2]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
HEADING = re.compile(r"^## \[(?P<version>[^\]]+)\](?: - (?P<date>\d{4}-\d\d-\d\d))?$", re.MULTILINE)
SECTIONS = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def _text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def pythons() -> list[str]:
    """The Pythons that the classifiers name, oldest first."""
    pattern = re.compile(r"Programming Language :: Python :: (3\.\d+)$")
    found = [match[1] for text in PROJECT["classifiers"] if (match := pattern.match(text))]
    assert found
    return found


def test_citation_and_changelog_have_the_version() -> None:
    citation = yaml.safe_load(_text("CITATION.cff"))
    headings = [match.groups() for match in HEADING.finditer(_text("CHANGELOG.md"))]
    assert headings[0] == ("Unreleased", None)
    assert headings[1] == (__version__, citation["date-released"])
    assert citation["version"] == __version__
    assert citation["license"] == PROJECT["license"]
    assert citation["repository-code"] == PROJECT["urls"]["Repository"]


def test_changelog_has_the_sections_of_keep_a_changelog() -> None:
    changelog = _text("CHANGELOG.md")
    assert set(re.findall(r"^### (.+)$", changelog, re.MULTILINE)) <= SECTIONS
    for match in HEADING.finditer(changelog):
        assert f"\n[{match['version']}]: " in changelog


def test_security_states_the_supported_version() -> None:
    minor = ".".join(__version__.split(".")[:2])
    assert f"now {minor}." in _text("SECURITY.md")


def test_all_files_name_the_same_pythons(pythons: list[str]) -> None:
    oldest, newest = pythons[0], pythons[-1]
    beyond = f"3.{int(newest.split('.')[1]) + 1}"
    assert PROJECT["requires-python"] == f">={oldest},<{beyond}"
    names = " ".join(f"python{python}" for python in reversed(pythons)) + " python3 python"
    limits = "(3, {}) <= sys.version_info[:2] <= (3, {})".format(
        *(version.split(".")[1] for version in (oldest, newest))
    )
    for name in ("Makefile", ".ci/run"):
        assert names in _text(name)
        assert limits in _text(name)
    assert f"| {oldest} to {newest} |" in _text("docs/how-to/install.md")
    for name in ("README.md", "CONTRIBUTING.md"):
        assert f"Python {', '.join(pythons[:-1])} or {newest}" in _text(name)


def test_tools_check_for_the_oldest_python(pythons: list[str]) -> None:
    tool = tomllib.loads(_text("pyproject.toml"))["tool"]
    assert tool["mypy"]["python_version"] == pythons[0]
    assert tool["ruff"]["target-version"] == "py" + pythons[0].replace(".", "")


def test_the_table_of_installations_lists_every_extra() -> None:
    listed = re.findall(r"^\| `(\w+)` \|", _text("docs/how-to/install.md"), re.MULTILINE)
    assert sorted([*listed, "all"]) == sorted(PROJECT["optional-dependencies"])


def _required(texts: list[str], extra: str = "") -> list[Requirement]:
    """The requirements that apply to this Python and machine."""
    found = [Requirement(text) for text in texts]
    return [one for one in found if one.marker is None or one.marker.evaluate({"extra": extra})]


def test_constraints_name_every_package_of_dev() -> None:
    """With all that these packages require themselves, as far as it is installed."""
    lines = _text("constraints.txt").splitlines()
    named = {canonicalize_name(line.split("==")[0]) for line in lines if "==" in line}
    extras = PROJECT["optional-dependencies"]
    own = [text for name, texts in extras.items() if name != "all" for text in texts]
    waiting = _required([*PROJECT["dependencies"], *own])
    seen = {("edge-pipeline", "")}
    while waiting:
        one = waiting.pop()
        name = canonicalize_name(one.name)
        for extra in {"", *one.extras}:
            if (name, extra) in seen or name == "edge-pipeline":
                continue
            seen.add((name, extra))
            try:
                waiting += _required(requires(name) or [], extra)
            except PackageNotFoundError:
                continue
            assert name in named, f"{one.name} is not in constraints.txt"
    assert len(seen) > 60


def test_type_information_is_part_of_the_package() -> None:
    assert (ROOT / "edge_pipeline" / "py.typed").read_bytes() == b""
    assert "Typing :: Typed" in PROJECT["classifiers"]
