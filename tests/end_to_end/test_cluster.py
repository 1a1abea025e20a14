"""Batches on a real Dask scheduler and real worker processes, of which some are killed."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest

from edge_pipeline.cli.main import main
from tests.fakes.artifacts import make_artifact
from tests.fakes.dask_cluster import DaskCluster, wait_for
from tests.fakes.dng import Dng, write_dng

pytest.importorskip("distributed", reason="the extra `distributed` is not installed")

HEADERLESS = [
    *("--width", "24", "--height", "16", "--bits", "12", "--cfa", "grbg"),
    *("--black", "64", "--white", "4095", "--wb", "2,1,1.5"),
]
# Where the process that opens it works: the same path is another file on each worker.
HERE = Path("/proc/self/cwd")
# Hides the package from a process.
ABSENT = "import sys; sys.modules['edge_pipeline'] = None"
here = pytest.mark.skipif(not HERE.exists(), reason="requires Linux's /proc")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(make_artifact(tmp_path_factory.mktemp("model") / "split", filters="split").folder)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaskCluster]:
    made = DaskCluster(tmp_path_factory.mktemp("dask"))
    yield made
    made.close()


@pytest.fixture
def cluster(shared: DaskCluster) -> Iterator[DaskCluster]:
    """A scheduler without workers."""
    yield shared
    shared.remove_workers()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaskCluster]:
    """A scheduler with one worker, which no test changes."""
    made = DaskCluster(tmp_path_factory.mktemp("served"))
    made.add_worker()
    yield made
    made.close()


@pytest.fixture
def own(tmp_path: Path) -> Iterator[DaskCluster]:
    """A scheduler that gives a task up after two lost workers."""
    (tmp_path / "dask").mkdir()
    made = DaskCluster(
        tmp_path / "dask", environment={"DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "1"}
    )
    yield made
    made.close()


def started(
    model: str, *words: object, cwd: Path | None = None, **environment: str
) -> subprocess.Popen[str]:
    root = str(Path(__file__).resolve().parents[2])
    paths = os.pathsep.join([root, *filter(None, sys.path)])
    return subprocess.Popen(
        [sys.executable, "-m", "edge_pipeline", "develop", *map(str, words), "--model", model],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": paths, **environment},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


def ended(running: subprocess.Popen[str]) -> tuple[int, str, str]:
    try:
        out, err = running.communicate(timeout=120)
    finally:
        running.kill()
    assert "Traceback" not in err
    return running.returncode, out, err


Develop = Callable[..., tuple[int, str, str]]


@pytest.fixture
def develop(capsys: pytest.CaptureFixture[str]) -> Develop:
    """The command in this process: its status, output and errors."""

    def run(model: str, *words: object) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main(["develop", *map(str, words), "--model", model])
        return code, *capsys.readouterr()

    return run


def captures(folder: Path, names: Iterable[str], height: int, width: int) -> Path:
    """A folder of captures, each with other pixels."""
    folder.mkdir(exist_ok=True)
    for seed, name in enumerate(names):
        values = np.random.default_rng(seed).integers(64, 4096, (height, width), np.uint16)
        write_dng(folder / name, values, Dng())
    return folder


@pytest.fixture
def card(tmp_path: Path) -> Path:
    return captures(tmp_path / "card", ("a.dng", "b.dng", "c.dng"), 32, 48)


@pytest.fixture(scope="module")
def dozen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve different captures that take a while."""
    names = [f"n{i:02}.dng" for i in range(12)]
    return captures(tmp_path_factory.mktemp("dozen"), names, 800, 1000)


@pytest.fixture(scope="module")
def expected(model: str, dozen: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The dozen's pictures as this machine develops them."""
    out = tmp_path_factory.mktemp("local")
    assert main(["develop", str(dozen), "-o", str(out), "--model", model]) == 0
    return contents(out)


def contents(folder: Path) -> dict[str, bytes]:
    """All files with their bytes, hidden ones too."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_worker_killed_in_the_middle_loses_no_picture_and_makes_none_twice(
    cluster: DaskCluster, model: str, dozen: Path, expected: dict[str, bytes], tmp_path: Path
) -> None:
    first = cluster.add_worker()
    cluster.add_worker()
    out = tmp_path / "out"
    running = started(model, dozen, "-o", out, "--scheduler", cluster.address)
    assert running.stdout is not None
    lines = [running.stdout.readline() for _ in range(2)]
    assert all(line.startswith("developed  ") for line in lines)
    before = {path.name: path.stat().st_ino for path in out.glob("[!.]*")}
    first.kill()
    assert len(before) < 12
    code, rest, err = ended(running)
    assert (code, err) == (0, "")
    named = [line.split(" -> ")[1].strip() for line in (*lines, *rest.splitlines()[:-1])]
    assert sorted(named) == sorted(str(out / name) for name in expected)
    assert rest.splitlines()[-1].endswith(" 0 failed")
    assert contents(out) == expected
    assert {name: (out / name).stat().st_ino for name in before} == before


@pytest.mark.parametrize(
    ("moment", "force"),
    [
        ("while", False),
        ("after", True),
        pytest.param("before", False, marks=pytest.mark.slow),
        pytest.param("before", True, marks=pytest.mark.slow),
        pytest.param("while", True, marks=pytest.mark.slow),
        pytest.param("after", False, marks=pytest.mark.slow),
    ],
)
def test_a_worker_killed_around_the_writing_of_a_picture(
    cluster: DaskCluster,
    model: str,
    card: Path,
    tmp_path: Path,
    develop: Develop,
    moment: str,
    *,
    force: bool,
) -> None:
    """The picture exists once, a temporary file is removed, a finished picture is not replaced."""
    out = tmp_path / "out"
    if force:
        out.mkdir()
        (out / "b.jpg").write_bytes(b"old")
        os.utime(out / "b.jpg", (1, 1))
    preload = f"""
import os, pathlib, signal
from edge_pipeline.isp import batch, output
once = pathlib.Path({str(tmp_path / "once")!r})
write, jpeg = batch.write_picture, output.write_jpeg
def die(path):
    try:
        once.open("x").close()
    except FileExistsError:
        return
    once.write_text(str(path.stat().st_ino) if path.exists() else "")
    os.kill(os.getpid(), signal.SIGKILL)
def wrapped(path, *words, **options):
    if path.name == "b.jpg" and {moment!r} == "before":
        die(path)
    write(path, *words, **options)
    if path.name == "b.jpg" and {moment!r} == "after":
        die(path)
def drawn(path, *words):
    jpeg(path, *words)
    if path.parent.name.startswith(".b-") and {moment!r} == "while":
        die(path)
batch.write_picture, output.write_jpeg = wrapped, drawn
"""
    cluster.add_worker(preload=preload)
    cluster.add_worker(preload=preload)
    options = ["--force"] if force else []
    words = [card, "-o", out, *options, "--scheduler", cluster.address]
    code, said, err = develop(model, *words)
    assert (code, err) == (0, "")
    local = tmp_path / "local"
    assert main(["develop", str(card), "-o", str(local), "--model", model]) == 0
    assert contents(out) == contents(local)
    ino = (tmp_path / "once").read_text()
    word = "exists     " if moment == "after" else "developed  "
    assert f"{word}{card}/b.dng -> {out}/b.jpg" in said
    assert (ino == str((out / "b.jpg").stat().st_ino)) == (moment == "after")


@pytest.mark.slow
def test_a_capture_that_kills_its_workers_fails_alone(
    own: DaskCluster, model: str, card: Path, tmp_path: Path
) -> None:
    preload = f"""
import os, pathlib, signal
from edge_pipeline.isp.develop import Developer
develop = Developer.begin
def deadly(self, source, *words, **options):
    if source.name == "b.dng":
        with open({str(tmp_path / "deaths")!r}, "a") as file:
            file.write("x")
        os.kill(os.getpid(), signal.SIGKILL)
    return develop(self, source, *words, **options)
Developer.begin = deadly
"""
    for _ in range(2):
        own.add_worker(preload=preload, nanny=True)
    out = tmp_path / "out"
    words = [card, "-o", out, "--scheduler", own.address]
    code, said, err = ended(started(model, *words))
    assert code == 1
    assert err == (
        f"error: {card}/b.dng: every worker that developed it was lost; develop it without "
        "--scheduler, or give the workers more memory\n"
    )
    # "exists" if a picture's result was lost with the worker that had finished it
    assert said.count("developed  ") + said.count("exists     ") == 2
    assert said.endswith(" existed, 1 failed\n")
    assert sorted(contents(out)) == ["a.jpg", "c.jpg"]
    assert (tmp_path / "deaths").read_text() == "xxxx"


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGTERM, 143), pytest.param(signal.SIGINT, 130, marks=pytest.mark.slow)],
)
def test_a_signal_cancels_the_rest_and_the_same_command_continues(
    cluster: DaskCluster,
    model: str,
    dozen: Path,
    expected: dict[str, bytes],
    tmp_path: Path,
    develop: Develop,
    number: int,
    code: int,
) -> None:
    cluster.add_worker()
    out = tmp_path / "out"
    words = [dozen, "-o", out, "--scheduler", cluster.address]
    running = started(model, *words)
    assert running.stdout is not None
    running.stdout.readline()
    running.send_signal(number)
    begun = time.perf_counter()
    returned, _, err = ended(running)
    assert time.perf_counter() - begun < 15
    assert returned == code
    assert err.startswith("interrupted: ")
    assert err.count("\n") == 1
    left = len(contents(out))
    time.sleep(1)
    assert len(contents(out)) <= left + 1  # a picture that was being written
    assert left < 11
    again, said, _ = develop(model, *words)
    assert again == 0
    assert said.endswith(" 0 failed\n")
    assert contents(out) == expected


@pytest.mark.slow
def test_a_worker_stops_at_the_next_tile_when_the_command_is_killed_and_its_token_is_removed(
    cluster: DaskCluster, model: str, card: Path, tmp_path: Path
) -> None:
    preload = """
import time
from edge_pipeline.isp.network import IspSession
cores = IspSession.cores
def slow(self, *words, **options):
    for core in cores(self, *words, **options):
        time.sleep(3)
        yield core
IspSession.cores = slow
"""
    cluster.add_worker(preload=preload)
    out = tmp_path / "out"
    running = started(model, card, "-o", out, "--scheduler", cluster.address)
    wait_for(lambda: out.exists() and any(out.iterdir()))
    time.sleep(1.5)
    running.send_signal(signal.SIGTERM)
    assert ended(running)[0] == 143
    time.sleep(4)
    assert not out.exists() or contents(out) == {}


def test_a_lost_scheduler_is_one_sentence(
    own: DaskCluster, model: str, dozen: Path, tmp_path: Path
) -> None:
    own.add_worker()
    out = tmp_path / "out"
    running = started(model, dozen, "-o", out, "--scheduler", own.address)
    assert running.stdout is not None
    running.stdout.readline()
    own.scheduler.kill()
    code, _, err = ended(running)
    assert code == 1
    assert err == (
        f"error: the connection to the scheduler at {own.address} was lost; the same command does "
        "the rest\n"
    )
    assert all(not name.startswith(".edge") for name in contents(out))


# What a worker does not see or have. /proc/self/cwd is another folder in each process.


@here
def test_a_capture_that_a_worker_does_not_see_names_the_worker(
    served: DaskCluster,
    model: str,
    card: Path,
    tmp_path: Path,
    develop: Develop,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out = tmp_path / "out"
    monkeypatch.chdir(card)
    words = [HERE / "a.dng", card / "b.dng", "-o", out]
    code, said, err = develop(model, *words, "--scheduler", served.address)
    assert code == 2
    assert err.startswith("error: worker tcp://127.0.0.1:")
    assert "cannot read /proc/self/cwd/a.dng: No such file or directory; all machines must" in err
    assert err.count("\n") == 1
    assert said.splitlines()[-1] == "1 developed, 0 existed, 1 failed"
    assert sorted(contents(out)) == ["b.jpg"]


@here
def test_a_folder_that_a_worker_does_not_see_stops_the_batch(
    served: DaskCluster,
    model: str,
    card: Path,
    tmp_path: Path,
    develop: Develop,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    words = [card, "-o", HERE / "out", "--scheduler", served.address]
    code, said, err = develop(model, *words)
    assert (code, said, err.count("\n")) == (2, "", 1)
    assert err.startswith("error: worker tcp://127.0.0.1:")
    assert "does not see the folder /proc/self/cwd/out of this machine" in err
    assert not (tmp_path / "out").exists()


@here
def test_another_model_on_a_worker_stops_the_batch(
    served: DaskCluster,
    card: Path,
    tmp_path: Path,
    develop: Develop,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make_artifact(tmp_path / "model", filters="split")
    make_artifact(served.newest / "model", filters="folded")
    monkeypatch.chdir(tmp_path)
    words = [card, "-o", tmp_path / "out", "--scheduler", served.address]
    code, said, err = develop(str(HERE / "model"), *words)
    assert (code, said, err.count("\n")) == (2, "", 1)
    assert "the model /proc/self/cwd/model is not that of this machine" in err


@pytest.mark.parametrize(
    ("preload", "said"),
    [
        (
            "import edge_pipeline; edge_pipeline.__version__ = '0.0.9'",
            "has edge-pipeline 0.0.9, this machine has ",
        ),
        (ABSENT, "has no edge-pipeline; install the same version with the extra distributed"),
    ],
)
def test_another_version_on_a_worker_stops_the_batch(
    cluster: DaskCluster,
    model: str,
    card: Path,
    tmp_path: Path,
    develop: Develop,
    preload: str,
    said: str,
) -> None:
    worker = cluster.add_worker(preload=preload)
    words = [card, "-o", tmp_path / "out", "--scheduler", cluster.address]
    code, out, err = develop(model, *words)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("error: worker tcp://127.0.0.1:")
    assert said in err
    assert worker.poll() is None
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_scheduler_without_the_package_stops_the_batch(
    model: str, card: Path, tmp_path: Path
) -> None:
    (tmp_path / "dask").mkdir()
    bare = DaskCluster(tmp_path / "dask", preload=ABSENT)
    try:
        bare.add_worker()
        words = [card, "-o", tmp_path / "out", "--scheduler", bare.address]
        code, out, err = ended(started(model, *words))
    finally:
        bare.close()
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert f"the scheduler at {bare.address} cannot load the task; install edge-pipeline " in err


# Outcomes that are the same as on one machine, and mistakes.


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
