"""Batches whose outcomes are those of one machine, over TCP and over TLS."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from edge_pipeline.cli.main import main
from tests.fakes.batches import Develop, contents, ended, started
from tests.fakes.dask_cluster import DaskCluster

pytest.importorskip("distributed", reason="the extra `distributed` is not installed")


HEADERLESS = [
    *("--width", "24", "--height", "16", "--bits", "12", "--cfa", "grbg"),
    *("--black", "64", "--white", "4095", "--wb", "2,1,1.5"),
]


def test_existing_pictures_bad_captures_sidecars_and_a_single_picture(
    served: DaskCluster, model: str, card: Path, tmp_path: Path, develop: Develop
) -> None:
    out = tmp_path / "out"
    (card / "c.dng").write_bytes(b"short")
    out.mkdir()
    (out / "a.jpg").write_bytes(b"old")
    there = ["--scheduler", served.address]
    code, said, err = ended(started(model, card, "-o", out, "--sidecar", *there))
    assert code == 2
    assert f"exists     {card}/a.dng -> {out}/a.jpg\n" in said
    assert said.splitlines()[-1] == "1 developed, 1 existed, 1 failed"
    assert f"error: {card}/c.dng " in err
    assert err.count("error:") == 1
    assert sorted(contents(out)) == ["a.jpg", "b.jpg", "b.jpg.json"]
    single = [card / "a.dng", "-o", out / "a.jpg"]
    code, said, err = develop(model, *single, *there)
    assert (code, said) == (2, "")
    assert "a.jpg exists; give --force to replace it" in err
    code, said, _ = develop(model, *single, "--force", *there)
    assert (code, said) == (0, f"developed  {card}/a.dng -> {out}/a.jpg\n")
    assert (out / "a.jpg").read_bytes() != b"old"


def test_options_and_profiles_reach_the_workers(
    served: DaskCluster, model: str, tmp_path: Path, develop: Develop
) -> None:
    values = np.random.default_rng(1).integers(64, 4096, (16, 24), np.uint16)
    values.tofile(tmp_path / "a.raw")
    words = [tmp_path / "a.raw", *HEADERLESS, "--size", "half", "--exposure", "0.3"]
    there = ["-o", tmp_path / "there.png", "--scheduler", served.address]
    code, _, err = develop(model, *words, *there)
    assert code == 0
    assert err.startswith("note: ")
    assert (
        main(["develop", *map(str, words), "-o", str(tmp_path / "here.png"), "--model", model]) == 0
    )
    assert (tmp_path / "there.png").read_bytes() == (tmp_path / "here.png").read_bytes()


def certificate(folder: Path) -> dict[str, str]:
    """A certificate that signs itself, and Dask's configuration that uses it everywhere."""
    words = "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=127.0.0.1 -keyout key -out cert"
    subprocess.run(["openssl", *words.split()], cwd=folder, check=True, capture_output=True)
    start = "DASK_DISTRIBUTED__COMM__TLS__"
    made = {f"{start}CA_FILE": str(folder / "cert")}
    for part in ("CLIENT", "WORKER", "SCHEDULER"):
        made[f"{start}{part}__CERT"] = str(folder / "cert")
        made[f"{start}{part}__KEY"] = str(folder / "key")
    return made


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificate")
def test_tls_is_configured_by_dask(model: str, card: Path, tmp_path: Path) -> None:
    (tmp_path / "dask").mkdir()
    trusted = certificate(tmp_path / "dask")
    secure = DaskCluster(tmp_path / "dask", "tls", trusted)
    try:
        secure.add_worker()
        assert secure.address.startswith("tls://")
        words = [card, "-o", tmp_path / "out", "--scheduler", secure.address]
        code, out, err = ended(started(model, *words))
        assert (code, out, err.count("\n")) == (1, "", 1)
        assert "check the address, and that the scheduler runs, and Dask's configuration" in err
        code, out, err = ended(started(model, *words, **trusted))
        assert (code, err) == (0, "")
        assert out.endswith("3 developed, 0 existed, 0 failed\n")
    finally:
        secure.close()
