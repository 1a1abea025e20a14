"""A Linux board over a real sshd on loopback; its Python is the one that runs this test."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from edge_pipeline.cli.main import main
from edge_pipeline.errors import InputError, JobError
from edge_pipeline.harness.bench import Settings, bench
from edge_pipeline.harness.devices import ssh
from edge_pipeline.harness.devices.base import DeviceLostError, Options, Placement
from edge_pipeline.harness.devices.local_link import LocalLink
from edge_pipeline.harness.devices.ssh import attached, open_device
from edge_pipeline.harness.devices.ssh_link import SshLink, destination_words
from edge_pipeline.harness.job import Job
from edge_pipeline.harness.protocol import Plan
from tests.fakes.artifacts import make_artifact
from tests.fakes.ssh_server import SshServer, missing_programs

PROBLEM = missing_programs()
pytestmark = pytest.mark.skipif(PROBLEM is not None, reason=str(PROBLEM))

QUICK = Settings(plan=Plan(runs=30, seconds=0, warmup=1))
HERE = Options(python=sys.executable)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    running = SshServer(tmp_path_factory.mktemp("sshd"))
    running.start()
    yield running
    running.stop()


@pytest.fixture(autouse=True)
def _client(server, monkeypatch):
    monkeypatch.setenv("PATH", f"{server.bin}{os.pathsep}{os.environ['PATH']}")


@pytest.fixture
def link():
    made = SshLink("board")
    made.connect()
    yield made
    made.close()


@pytest.fixture(scope="module")
def artifact(tmp_path_factory):
    return make_artifact(tmp_path_factory.mktemp("ssh") / "folded")


def _left(server):
    """What is in the work folder, apart from the package that stays for the next measurement."""
    work = server.home / ".cache" / "edge-pipeline" / "work"
    return [path.name for path in work.iterdir() if not path.name.endswith(".zip")]


def test_a_measurement_over_ssh(server, artifact):
    (record,) = bench([artifact.folder], open_device("board", HERE), QUICK)
    assert record.device == "ssh:board"
    assert record.verification.result == "passed"
    assert len(record.samples_ms) == 30
    assert record.memory.peak_bytes > 0
    assert record.runner == "edge_pipeline.harness.worker"
    assert record.versions["onnxruntime"]
    assert "Linux" in record.environment.operating_system
    assert _left(server) == []


def test_a_profiles_python_is_used_from_the_command_line(
    server, artifact, tmp_path, monkeypatch, capsys
):
    for source in Path("devices").glob("*"):
        if source.is_file():
            (tmp_path / source.name).write_bytes(source.read_bytes())
    profile = (tmp_path / "x86_epyc.toml").read_text().replace('transport = "host"', "")
    head = f'transport = "ssh"\naddress = "board"\npython = "{sys.executable}"\n'
    (tmp_path / "my_board.toml").write_text(head + profile)
    monkeypatch.setattr("edge_pipeline.device_profile.packaged", lambda _folder: tmp_path)
    words = ["--records", "-", "--runs", "30", "--seconds", "0", "--warmup", "0"]
    assert main(["bench", str(artifact.folder), "--device", "my_board", *words]) == 0
    assert json.loads(capsys.readouterr().out)["device"] == "ssh:board"
    assert [board.name for board in attached()] == ["my_board", "ssh:HOST"]


@pytest.mark.parametrize(
    ("host", "message"),
    [
        ("no-such-host.invalid", "no-such-host.invalid is unknown; check the name"),
        ("closed", "closed refused the connection; check that an SSH server runs there"),
        ("wrong-key", "wrong-key accepted no key of this user; run `ssh-copy-id wrong-key`"),
        ("wrong-host", "the key of wrong-host is unknown or has changed"),
    ],
)
def test_a_host_that_cannot_be_used_is_one_sentence(artifact, capsys, host, message):
    assert main(["bench", str(artifact.folder), "--device", f"ssh:{host}"]) == 2
    told = capsys.readouterr().err
    assert message in " ".join(told.split())
    assert told.count("error:") == 1


def test_a_port_after_the_host_is_used(server):
    link = SshLink(f"127.0.0.1:{server.port}")
    link.connect()
    assert link.run(["echo", "there"]).stdout == "there\n"
    link.close()


WORDS = ["$(touch x)", "`id`", "a b", "'", '"', "\\", "a\nb", "*", "~", ";", "-n", "", "é", "$HOME"]


def test_words_arrive_as_they_are(link):
    answer = link.run(["printf", "%s|", *WORDS])
    assert answer.stdout == "".join(f"{word}|" for word in WORDS)
    assert link.run(["sh", "-c", "echo out; echo err >&2; exit 7"]) == type(answer)(
        7, "out\n", "err\n"
    )


def test_files_of_any_name_and_content_are_copied(link, server, tmp_path):
    source, back = tmp_path / "s", tmp_path / "b"
    source.write_bytes(bytes(range(256)) * 4096)
    for name in ("a b", "$(touch x)", "'", "-rf", "a\nb"):
        link.push(source, f"{server.home}/{name}")
        link.pull(f"{server.home}/{name}", back)
        assert back.read_bytes() == source.read_bytes()
        (server.home / name).unlink()
    with pytest.raises(JobError, match=r"s cannot be copied from or to board: Directory nonex|No "):
        link.push(source, f"{server.home}/none/a")
    with pytest.raises(JobError, match="No such file or directory"):
        link.pull(f"{server.home}/none", back)


def test_a_second_connection_is_not_made(link, server):
    before = len(psutil.Process(server._process.pid).children())
    link.connect()
    for _ in range(3):
        link.run(["true"])
    assert len(psutil.Process(server._process.pid).children()) == before


def test_nothing_of_a_closed_link_runs_on(server):
    link = SshLink("board")
    link.connect()
    folder = link._sockets
    link.close()
    link.close()
    assert not Path(folder).exists()
    masters = [p for p in psutil.process_iter(["cmdline"]) if folder in str(p.info["cmdline"])]
    assert masters == []


def test_a_lost_connection_is_told_and_the_board_is_cleaned_up(server, artifact):
    device = open_device("board", HERE)
    device.acquire(Placement())
    worker = device.place(Job(artifact, "forward"))
    worker.load()
    remote = worker._far_id
    threading.Timer(0.5, server.drop_sessions).start()
    with pytest.raises(DeviceLostError, match="the connection to board ended; measure again"):
        worker.run(1_000_000)
    worker.close()
    assert _has_ended(remote)
    assert _left(server)
    device.release()
    assert _left(server) == []


def _has_ended(process_id):
    """Whether a process ends within 5 s; in a container, nobody may wait for it."""
    for _ in range(50):
        try:
            if psutil.Process(process_id).status() == "zombie":
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.1)
    return False


def test_a_lost_board_ends_bench_with_one_sentence(server, artifact, capsys, monkeypatch):
    monkeypatch.setattr("edge_pipeline.cli.bench.open_named", lambda *_: open_device("board", HERE))
    stop = threading.Event()

    def drop_when_running():
        while not stop.is_set():  # also in the repetition of the measurement
            if _runs_a_worker(server):
                time.sleep(1)
                server.drop_sessions()
            time.sleep(0.05)

    dropper = threading.Thread(target=drop_when_running)
    dropper.start()
    code = main(["bench", str(artifact.folder), "--seconds", "60"])
    stop.set()
    dropper.join()
    told = capsys.readouterr().err
    assert (code, told.count("error:")) == (1, 1)
    assert "the connection to board ended; measure again" in told
    assert "Traceback" not in told
    assert _left(server) == []


def _runs_a_worker(server):
    for process in psutil.Process(server._process.pid).children(recursive=True):
        with contextlib.suppress(psutil.Error):  # it ended since it was listed
            if "harness.worker" in " ".join(process.cmdline()):
                return True
    return False


def test_a_board_that_does_not_answer_is_given_up(link):
    with pytest.raises(DeviceLostError, match=r"board did not answer in 0\.2 s"):
        link.run(["sleep", "5"], timeout_s=0.2)


@pytest.mark.parametrize(
    ("host", "words"),
    [
        ("pi", ["--", "pi"]),
        ("me@pi", ["--", "me@pi"]),
        ("me@pi:2222", ["-p", "2222", "--", "me@pi"]),
        ("[fe80::1]:22", ["-p", "22", "--", "fe80::1"]),
        ("fe80::1", ["--", "fe80::1"]),
    ],
)
def test_hosts_are_read_as_by_ssh(host, words):
    assert destination_words(host) == words


@pytest.mark.parametrize(
    "host", ["-oProxyCommand=x", "me@-oProxyCommand=x", "a b", "a\nb", "a:0", "a:99999", "a\x00"]
)
def test_hosts_that_are_options_or_no_names_are_refused(host):
    with pytest.raises(InputError, match=r"host must be|port of"):
        open_device(host)


def test_a_host_is_necessary():
    with pytest.raises(InputError, match="ssh needs a host"):
        open_device("")


@pytest.mark.parametrize(
    ("script", "throttled"),
    [
        ("echo throttled=0x0", False),
        ("echo throttled=0x50000", False),  # it throttled since its start, but does not now
        ("echo throttled=0x50005", True),
        ("echo throttled=0x8", True),
        ("echo odd", None),
        ("exit 1", None),
    ],
)
def test_a_raspberry_pi_tells_whether_it_throttles(tmp_path, monkeypatch, script, throttled):
    program = tmp_path / "vcgencmd"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert ssh._sensors(LocalLink()).throttled is throttled


_INTERRUPTED = """
import sys
from edge_pipeline.cli import bench, main
from edge_pipeline.harness.devices import ssh
from edge_pipeline.harness.devices.base import Options
bench.open_named = lambda *_: ssh.open_device("board", Options(python=sys.executable))
sys.exit(main.main(["bench", sys.argv[1], "--seconds", "300"]))
"""


@pytest.mark.slow
@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_measurement_leaves_nothing(server, artifact, sent, code):
    words = [sys.executable, "-c", _INTERRUPTED, str(artifact.folder)]
    environment = os.environ | {"PYTHONPATH": str(Path.cwd())}
    process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True, env=environment)
    try:
        while not _runs_a_worker(server):
            assert process.poll() is None
            time.sleep(0.1)
        process.send_signal(sent)
        _, told = process.communicate(timeout=180)
    finally:
        process.kill()
    assert (process.returncode, "Traceback" in told) == (code, False)
    assert _left(server) == []
