"""Options, addresses and clusters with which no batch can begin."""

import socket
import sys
import time
from pathlib import Path

import pytest

from edge_pipeline.cli.main import main
from tests.fakes.batches import ended, started
from tests.fakes.dask_cluster import DaskCluster

pytest.importorskip("distributed", reason="the extra `distributed` is not installed")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--scheduler", "nowhere"], 2, "give tcp://HOST:PORT or tls://HOST:PORT"),
        (["--scheduler", "tcp://a:99999"], 2, "give tcp://HOST:PORT or tls://HOST:PORT"),
        (["--scheduler", "inproc://a:1"], 2, "give tcp://HOST:PORT or tls://HOST:PORT"),
        (["--scheduler", "tcp://127.0.0.1:1", "--jobs", "0"], 2, "give --jobs 1 or more"),
        (["--scheduler", "tcp://127.0.0.1:1", "--threads", "0"], 2, "threads must be from 1"),
        (["--scheduler", "tcp://127.0.0.1:1", "--timeout", "0"], 2, "the timeout is 0 s"),
        (["--scheduler", "tcp://127.0.0.1:1"], 1, "no Dask scheduler answers at tcp://127.0.0.1:1"),
        (["--scheduler", "tls://127.0.0.1:1"], 1, "and Dask's configuration of TLS"),
    ],
)
def test_mistakes_are_one_sentence(
    model: str,
    card: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    code: int,
    said: str,
) -> None:
    begun = time.perf_counter()
    command = ["develop", str(card), "-o", str(tmp_path / "out"), "--model", model]
    assert main([*command, *words]) == code
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert said in err
    assert time.perf_counter() - begun < 20
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_an_address_of_another_program_is_one_sentence(
    model: str, card: Path, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"tcp://127.0.0.1:{silent.getsockname()[1]}"
        words = [card, "-o", tmp_path / "out", "--scheduler", address]
        code, out, err = ended(started(model, *words))
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert f"no Dask scheduler answers at {address}" in err


def test_standard_output_is_refused(
    model: str, card: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["develop", str(card / "a.dng"), "-o", "-", "--model", model]
    assert main([*words, "--scheduler", "tcp://127.0.0.1:1"]) == 2
    assert "--scheduler cannot write standard output" in capsys.readouterr().err


def test_a_missing_dask_names_the_extra(
    model: str,
    card: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    words = ["develop", str(card), "-o", str(tmp_path / "out"), "--model", model]
    assert main([*words, "--scheduler", "tcp://127.0.0.1:1"]) == 2
    assert "pip install 'edge-pipeline[distributed]'" in capsys.readouterr().err


def test_a_scheduler_without_workers_is_one_sentence(
    cluster: DaskCluster,
    model: str,
    card: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("edge_pipeline.isp.cluster._PATIENCE_S", 1.5)
    words = ["develop", str(card), "-o", str(tmp_path / "out"), "--model", model]
    assert main([*words, "--scheduler", cluster.address]) == 1
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert f"start one with: dask worker {cluster.address}" in err
    assert not (tmp_path / "out").exists()
