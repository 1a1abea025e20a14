"""A missing package names its extra, unless the extra has no wheels for this Python and machine."""

import sys
from collections.abc import Callable

import pytest

from edge_pipeline import optional
from edge_pipeline.errors import MissingExtraError
from edge_pipeline.optional import has_wheels, require

STATED = [
    "numpy>=1.26",
    'absent-package>=1; python_version < "3.0" and extra == "old"',
    'absent-package>=1; extra == "new"',
    'torch>=2.7; extra == "old"',
]


@pytest.fixture
def stated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(optional, "requires", lambda _: STATED)


def test_an_installed_module_is_returned() -> None:
    assert require("json", "train", "training") is sys.modules["json"]


@pytest.mark.usefixtures("stated")
def test_a_missing_package_names_its_extra() -> None:
    with pytest.raises(MissingExtraError, match=r"run: pip install 'edge-pipeline\[new\]'$"):
        require("absent_package.part", "new", "compiling")


@pytest.mark.usefixtures("stated")
def test_an_extra_without_wheels_advises_no_installation() -> None:
    with pytest.raises(MissingExtraError) as caught:
        require("absent_package", "old", "compiling")
    said = str(caught.value)
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    assert f"absent_package, which has no wheels for Python {version} on" in said
    assert "docs/how-to/install.md lists for the extra old" in said
    assert "pip install" not in said


@pytest.mark.usefixtures("stated")
@pytest.mark.parametrize(
    ("package", "extra", "found"),
    [
        ("absent_package", "old", False),
        ("absent_package", "old,new", True),
        ("torch", "old", True),
        ("not-listed", "old", True),
    ],
)
def test_markers_decide(package: str, extra: str, found: bool) -> None:
    assert has_wheels(package, extra) is found


def test_without_metadata_nothing_is_excluded(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> Callable[[], None]:
        raise optional.PackageNotFoundError(name)

    monkeypatch.setattr(optional, "requires", absent)
    assert has_wheels("torch", "train")


def test_another_module_that_is_missing_is_not_taken_for_the_package(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path_factory.mktemp("broken")
    (folder / "broken_package.py").write_text("import quite_absent\n")
    monkeypatch.syspath_prepend(folder)
    with pytest.raises(ModuleNotFoundError, match="quite_absent"):
        require("broken_package", "train", "training")
