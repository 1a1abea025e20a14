import json
import platform
import shutil
import subprocess
from pathlib import Path

import pytest

from edge_pipeline.artifact.store import seal_of
from edge_pipeline.errors import InputError
from edge_pipeline.files import sha256_of
from edge_pipeline.harness.runner import find_runner
from tests.fakes.artifacts import make_artifact

_EMULATOR = "qemu-aarch64-static"


class Runner:
    """Starts edge_runner, in the emulator unless this machine is an Arm machine."""

    def __init__(self, command):
        self.command = command

    def __call__(self, *lines, limit=120):
        """Return the answers to the lines, and the exit code."""
        encoded = (line if isinstance(line, bytes) else line.encode() for line in lines)
        done = subprocess.run(
            self.command,
            input=b"\n".join(encoded) + b"\n",
            capture_output=True,
            timeout=limit,
            check=False,
        )
        assert done.stderr == b""
        return [json.loads(line) for line in done.stdout.decode().splitlines()], done.returncode

    def failure(self, *lines):
        """Return the error with which the last order is answered."""
        answers, code = self(*lines)
        assert answers, f"no answer, code {code}"
        assert set(answers[-1]) == {"error", "message"}
        assert code == (1 if answers[-1]["error"] == "RuntimeFailure" else 2)
        assert "\n" not in answers[-1]["message"]
        return answers[-1]


@pytest.fixture(scope="session")
def runner():
    try:
        path = find_runner()
    except InputError as error:
        pytest.skip(str(error))
    if platform.machine() == "aarch64":
        return Runner([str(path)])
    if shutil.which(_EMULATOR) is None:
        pytest.skip(f"{_EMULATOR} is not installed (Debian's package qemu-user-static)")
    return Runner([_EMULATOR, str(path)])


def request_of(folder, program="forward", *, size=None, threads=1, cpus=None):
    return json.dumps(
        {
            "artifact": str(folder),
            "program": program,
            "size": size,
            "threads": threads,
            "cpus": cpus,
        }
    )


def reseal(folder: Path, **changes):
    """Store changes of the manifest and the hashes of changed files, as if they were intended."""
    manifest = json.loads((folder / "manifest.json").read_bytes()) | changes
    for name in manifest["files"]:
        if (folder / name).is_file():
            manifest["files"][name] = sha256_of(folder / name)
    content = json.dumps(manifest).encode()
    (folder / "manifest.json").write_bytes(content)
    (folder / "manifest.sha256").write_bytes(seal_of(content))


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """A folded artifact with one convolution, which tests only read."""
    return make_artifact(tmp_path_factory.mktemp("tiny") / "a").folder


@pytest.fixture
def own(tmp_path):
    """The same artifact, to be damaged."""
    return make_artifact(tmp_path / "a").folder
