"""The page about segmenters: a user's own network in the wrapper, trained and compiled."""

import importlib
import re
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("timm", reason="the page's network consists of its stages")
pytest.importorskip("onnxscript", reason="compiling to ONNX needs it")

import torch
from torch import nn

import edge_pipeline

PAGE = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "segmenters.md"


@pytest.fixture
def page(tmp_path, monkeypatch):
    """The page's files as modules."""
    blocks = re.findall(
        r"<!-- file: (\w+)\.py -->\n```python\n(.*?)^```$", PAGE.read_text(), re.S | re.M
    )
    assert [name for name, _ in blocks] == ["mobile", "training"]
    for name, body in blocks:
        (tmp_path / f"{name}.py").write_text(body)
    monkeypatch.syspath_prepend(tmp_path)
    yield lambda name: importlib.import_module(name)
    for name, _ in blocks:
        sys.modules.pop(name, None)


def squares(count, side=24):
    """Noisy pictures of a bright rectangle, which is the foreground."""
    random = np.random.default_rng(0)
    for _ in range(count):
        labels = np.zeros((4, side, side), np.int64)
        for one in labels:
            top, left = random.integers(0, side // 2, 2)
            one[top : top + side // 2, left : left + side // 2] = 1
        noise = random.random((4, 3, side, side), np.float32)
        pictures = 0.3 * noise + 0.7 * labels[:, None].astype(np.float32)
        yield torch.from_numpy(pictures), torch.from_numpy(labels)


def test_a_network_of_timm_learns_in_the_wrapper(page):
    torch.manual_seed(0)
    network = page("mobile").segmenter()
    kept = {name for name, _ in network.network.named_parameters()}
    assert kept
    assert all(
        isinstance(network.network.get_submodule(n.rpartition(".")[0]), nn.BatchNorm2d)
        for n in kept
    )
    before = {name: p.detach().clone() for name, p in network.named_parameters()}

    losses = page("training").train(network.train(), squares(30), 3e-3)
    assert np.mean(losses[-6:]) < 0.7 * np.mean(losses[:6])
    still = [name for name, p in network.named_parameters() if torch.equal(p, before[name])]
    assert still == []


@pytest.mark.slow  # the page's own command also compiles it
def test_a_network_of_timm_compiles_at_one_phi(page, tmp_path):
    torch.manual_seed(0)
    network = page("mobile").segmenter()
    with torch.no_grad():
        network.rescale_weights()
        network.train()(torch.rand(8, 3, 20, 27), 0.45)  # statistics of batch normalisation
    network.eval()
    image = torch.rand(1, 3, 20, 27)
    folder = tmp_path / "a"
    artifact = edge_pipeline.compile(
        network, {"x": image}, folder, backend="onnx", fixed={"phi": 0.45}
    )
    with torch.no_grad():
        expected = network(image, 0.45).numpy()
        other = network(image, 0.7).numpy()
    with edge_pipeline.open_session(artifact, "forward", threads=1) as session:
        (found,) = session.run({"x": image.numpy()}).values()
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4 * np.abs(expected).max())
    assert np.abs(other - expected).max() > 1e-2 * np.abs(expected).max()
