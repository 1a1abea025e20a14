"""Compiled models and their developer, for several files."""

import pytest

from edge_pipeline.isp.develop import Developer
from tests.fakes.artifacts import make_artifact


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return {
        "folded": make_artifact(folder / "folded", filters="folded").folder,
        "split": make_artifact(folder / "split", filters="split").folder,
        "srgb": make_artifact(folder / "srgb", output_space="srgb").folder,
    }


@pytest.fixture(scope="module")
def developer(models):
    with Developer(models["folded"], threads=1) as opened:
        yield opened


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("captures")
