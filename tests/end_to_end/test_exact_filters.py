"""`compile --streamed` and `develop --filters exact`, against eager on the whole capture."""

from pathlib import Path

import numpy as np
import pytest
import torch

from edge_pipeline.artifact.store import Artifact
from edge_pipeline.cli.main import main
from edge_pipeline.isp.network import IspSession
from edge_pipeline.models.base import build_model
from edge_pipeline.raw.capture import read_capture
from tests.data_files import CHART
from tests.fakes.artifacts import make_artifact
from tests.fakes.dng import Dng, write_dng

# The small network is so wide that its predictor is larger than the graphs that read its weights.
NETWORKS = {
    "small_isp": {"width": 64},
    "hyperconv_isp": {"width": 8, "coarse": 8, "n_basis": 2},
}
pytestmark = pytest.mark.usefixtures("small_isp")


def compiled(folder, name, *words):
    settings = [word for key, value in NETWORKS[name].items() for word in ("-s", f"{key}={value}")]
    source = [name, *settings, "--seed", "0", "--backend", "onnx", "-o", str(folder)]
    return main(["compile", *source, *words])


@pytest.fixture(
    scope="module", params=["small_isp", pytest.param("hyperconv_isp", marks=pytest.mark.slow)]
)
def network(request):
    """The name of the network that is compiled."""
    return request.param


@pytest.fixture(scope="module")
def streamed(tmp_path_factory, small_isp, network):
    folder = tmp_path_factory.mktemp("streamed") / "split"
    assert compiled(folder, network, "--filters", "split", "--streamed") == 0
    return folder


@pytest.mark.parametrize("largest", [64, 96, 1024])
def test_filters_are_those_of_the_whole_capture(streamed, network, largest):
    mosaic = np.random.default_rng(0).random((320, 448), np.float32)
    torch.manual_seed(0)
    module = build_model(network, NETWORKS[network]).eval()
    packed = torch.stack([torch.from_numpy(mosaic[y::2, x::2]) for y in (0, 1) for x in (0, 1)])
    with torch.no_grad():
        expected = module.predict_filters(packed[None])
    with IspSession(Artifact.open(streamed), threads=1, largest=largest) as session:
        found = session.filters(mosaic, exact=True)
    shared = expected.keys() & found.keys()  # the rest is named after other layers
    assert len(shared) > 0.9 * len(expected)
    for name in shared:
        value = expected[name]
        scale = max(1e-3, float(value.abs().max()))
        same = found[name].reshape(value.shape)  # the predictor may end before or after a reshape
        assert np.abs(same - value.numpy()).max() <= 1e-5 * scale, name


def test_the_programs_share_their_weights(streamed):
    artifact = Artifact.open(streamed)
    (stage,) = artifact.manifest.stages
    own = [streamed / name for name in (stage.filters.file, *stage.filters.extra)]
    assert streamed / "predict_filters.onnx.data" in own
    added = sum(path.stat().st_size for path in own if path.name.startswith("filters_1"))
    assert added < 0.2 * (streamed / "predict_filters.onnx.data").stat().st_size + 50_000


@pytest.fixture(scope="module")
def capture(tmp_path_factory):
    """A part of the chart, wider than the view on which filters are predicted otherwise."""
    chart = read_capture(CHART, timeout_s=60)
    levels = Dng(
        filters=chart.pattern, black=tuple(map(int, chart.black)), white=(int(chart.white),)
    )
    return write_dng(
        tmp_path_factory.mktemp("capture") / "a.dng", chart.mosaic[:320, :1280], levels
    )


def developed(capture, model, output, *words):
    assert main(["develop", str(capture), "--model", str(model), "-o", str(output), *words]) == 0
    return Path(output).read_bytes()


def test_a_capture_is_developed_with_exact_filters_and_with_anothers(streamed, capture, tmp_path):
    preview = developed(capture, streamed, tmp_path / "preview.png")
    exact = developed(capture, streamed, tmp_path / "exact.png", "--filters", "exact")
    assert preview != exact
    words = ["--filters", "exact", "--filters-from"]
    own = developed(capture, streamed, tmp_path / "own.png", *words, str(capture))
    assert own == exact


def test_an_artifact_without_stages_says_how_to_get_them(tmp_path, capsys):
    make_artifact(tmp_path / "plain", filters="split")
    words = ["--model", str(tmp_path / "plain"), "-o", str(tmp_path / "x.png")]
    assert main(["develop", str(CHART), *words, "--filters", "exact"]) == 2
    assert "--filters split or refolded and --streamed" in capsys.readouterr().err
    assert not (tmp_path / "x.png").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--filters", "folded", "--streamed"], "--filters folded; give split or refolded"),
        (["--filters", "split", "--streamed", "--precision", "int8"], "combined with int8"),
    ],
)
def test_forms_that_cannot_stream_are_refused(tmp_path, capsys, words, said):
    assert compiled(tmp_path / "x", "small_isp", *words) == 2
    assert said in capsys.readouterr().err


def test_fixed_sizes_cannot_stream(tmp_path, capsys):
    pytest.importorskip("executorch", reason="the executorch extra is not installed")
    words = ["small_isp", "--backend", "executorch", "-o", str(tmp_path / "x")]
    assert main(["compile", *words, "--filters", "split", "--streamed"]) == 2
    assert "one input with free sizes" in capsys.readouterr().err


def test_a_capture_for_filters_that_cannot_be_read_is_named(streamed, tmp_path, capsys):
    words = ["--model", str(streamed), "-o", str(tmp_path / "x.png")]
    missing = str(tmp_path / "missing.dng")
    assert main(["develop", str(CHART), *words, "--filters-from", missing]) == 2
    assert "missing.dng" in capsys.readouterr().err
