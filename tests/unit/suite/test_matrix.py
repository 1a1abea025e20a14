"""The file of a suite."""

import pytest

from edge_pipeline.errors import InputError, UnknownNameError
from edge_pipeline.suite.matrix import load_suite

pytest.importorskip("yaml", reason="a suite is a YAML file")

WHOLE = """
networks:
  - {name: nuclei, source: phi_unet, options: {hyper: true}, size: [64, 64]}
  - {name: isp, source: hyperconv_isp, filters: folded, phi: []}
  - {name: ready, artifact: folder/ready}
phi: [0.2, 0.5]
backends: [onnx, litert]
precisions: [fp32, int8]
devices: [host, "adb:1A"]
protocol: {runs: 30, seconds: 0, threads: 2}
"""


@pytest.fixture
def written(tmp_path):
    def write(text):
        path = tmp_path / "suite.yaml"
        path.write_text(text)
        return path

    return write


def test_the_matrix_is_the_product_for_networks_that_are_compiled(written, tmp_path):
    suite = load_suite(written(WHOLE))
    names = [case.name for case in suite.cases()]
    assert len(names) == len(set(names)) == 2 * 2 * 2 + 2 * 2 + 1
    assert "nuclei-onnx-int8-phi-0.2" in names
    assert "isp-litert-fp32" in names
    *_, last = suite.cases()
    assert last.network.artifact == tmp_path / "folder/ready"
    settings = suite.protocol.settings()
    assert (settings.plan.runs, settings.placement.threads) == (30, 2)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("networks: []", "networks"),
        ("networks: [{name: a}]", "a must have either an artifact or a source"),
        ("networks: [{name: a, source: b, artifact: c}]", "either an artifact or a source"),
        ("networks: [{name: ../a, source: b}]", "name"),
        ("networks: [{name: a, source: b}, {name: a, source: c}]", "the network a occurs twice"),
        ("networks: [{name: a, source: b}]\ndevices: [host, host]", "the device host occurs twice"),
        ("networks: [{name: a, source: b}]\nprecisions: [fp8]", "precisions"),
        ("networks: [{name: a, source: b}]\nprotocol: {runs: 3}", "at least 30, got 3"),
        ("networks: [{name: a, source: b}]\nprotcol: {}", "protcol"),
        ("networks: [", "is not YAML from line 1"),
        ("3", "suite.yaml"),
        ("", "suite.yaml"),
    ],
)
def test_faults_of_the_file_are_named(written, text, message):
    with pytest.raises(InputError, match=message):
        load_suite(written(text))


def test_an_unknown_backend_is_refused(written):
    with pytest.raises(UnknownNameError, match="no backend is called 'tensorrt'"):
        load_suite(written("networks: [{name: a, source: b}]\nbackends: [tensorrt]"))


def test_an_absent_or_binary_file_is_refused(tmp_path):
    with pytest.raises(InputError, match="cannot read"):
        load_suite(tmp_path / "none.yaml")
    (tmp_path / "x.yaml").write_bytes(b"\xff\xfe\0")
    with pytest.raises(InputError, match="not text in UTF-8"):
        load_suite(tmp_path / "x.yaml")


def test_the_path_of_a_target_is_relative_to_the_file(written, tmp_path):
    network = "networks: [{name: a, source: b}]\n"
    assert load_suite(written(network + "target: mine.toml")).target == str(tmp_path / "mine.toml")
    assert load_suite(written(network + "target: x86_epyc")).target == "x86_epyc"
