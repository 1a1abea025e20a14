"""Workers and schedulers that are killed during a batch."""

import os
from pathlib import Path

import pytest

from edge_pipeline.cli.main import main
from tests.fakes.batches import SLOW, Develop, contents, ended, started
from tests.fakes.dask_cluster import DaskCluster

pytest.importorskip("distributed", reason="the extra `distributed` is not installed")


def test_a_worker_killed_in_the_middle_loses_no_picture_and_makes_none_twice(
    cluster: DaskCluster, model: str, dozen: Path, expected: dict[str, bytes], tmp_path: Path
) -> None:
    first = cluster.add_worker(preload=SLOW)
    cluster.add_worker(preload=SLOW)
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


def test_a_lost_scheduler_is_one_sentence(
    own: DaskCluster, model: str, dozen: Path, tmp_path: Path
) -> None:
    own.add_worker(preload=SLOW)
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
