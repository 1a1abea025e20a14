"""Nothing is sent and nothing is left behind: commands under strace, in an empty home."""

import os
import re
import shutil
import subprocess
import sys

import pytest

from edge_pipeline.files import packaged
from tests.data_files import CHART

ARTIFACT = packaged("calibration") / "pretrained/isp_default/artifact"
# A socket of the network, or a packet to one; local sockets and pipes are no traffic.
NETWORK = re.compile(r"AF_(INET6?|NETLINK|PACKET)|/etc/(resolv\.conf|hosts)|sendmmsg\(")
COMMANDS = {
    "develop": ["develop", "a.dng", "b.dng", "-o", "out/"],
    "verify": ["verify", str(ARTIFACT)],
    "bench": ["bench", str(ARTIFACT), "--runs", "30", "--warmup", "1"],
}


def can_trace():
    if shutil.which("strace") is None:
        return False
    return subprocess.run(["strace", "-qq", "-o", os.devnull, "true"], check=False).returncode == 0


def traced(command, folder, **environment):
    """Run a command with an empty home; return its network calls and the files in the home."""
    home, trace = folder / "home", folder / "trace"
    home.mkdir()
    kept = {k: v for k, v in os.environ.items() if k in ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH")}
    calls = "trace=socket,connect,sendto,sendmsg,sendmmsg,openat"
    done = subprocess.run(
        ["strace", "-f", "-qq", "-e", calls, "-o", str(trace), sys.executable, "-c", *command],
        cwd=folder,
        env={**kept, "HOME": str(home), "OMP_NUM_THREADS": "1", **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = trace.read_text(errors="replace").splitlines()
    return [line for line in lines if NETWORK.search(line)], sorted(home.rglob("*"))


pytestmark = pytest.mark.skipif(not can_trace(), reason="strace is missing or may not trace here")


@pytest.mark.parametrize("verb", COMMANDS)
def test_a_command_sends_nothing_and_leaves_no_file_in_the_home(verb, tmp_path):
    for name in ("a.dng", "b.dng"):
        shutil.copyfile(CHART, tmp_path / name)
    run = "import sys; from edge_pipeline.cli.main import main; sys.exit(main(sys.argv[1:]))"
    network, left = traced([run, *COMMANDS[verb]], tmp_path)
    assert network == []
    assert left == []


def test_a_lookup_and_a_file_would_be_seen(tmp_path):
    """Planted faults, as ONNX Runtime's telemetry was seen to do."""
    fault = (
        "import pathlib, socket\n"
        "pathlib.Path.home().joinpath('deviceid').touch()\n"
        "try: socket.create_connection(('127.0.0.1', 9), 1)\n"
        "except OSError: pass"
    )
    network, left = traced([fault], tmp_path)
    assert network != []
    assert [path.name for path in left] == ["deviceid"]
