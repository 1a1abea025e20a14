"""The documentation's commands work as they stand.

Every fenced `console` block of README.md, CONTRIBUTING.md and docs/ is run, in order, in a copy of
the repository: the lines that start with `$ `, with their continuations. A block stays out when the
line above it is `<!-- not run: reason -->`. A `python` or `toml` block below `<!-- file: NAME -->`
is first written as that file.

The first command of a page, and each that needs a shell or another program, runs in `bash`. The
others are plain calls of `edge-pipeline` and run in this process, which has imported torch already.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from edge_pipeline.cli.main import main
from tests.quick_export import make_exports_quick

make_exports_quick()

ROOT = Path(__file__).resolve().parents[1]
BLOCK = re.compile(
    r"^(?P<out><!-- not run: [^\n]+ -->\n)?```console\n(?P<body>.*?)^```$", re.DOTALL | re.MULTILINE
)

FILE = re.compile(
    r"^<!-- file: (?P<name>[\w.]+) -->\n```(?:python|toml)\n(?P<body>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)


def commands_of(text: str) -> list[str]:
    """The commands of a page's console blocks; a backslash at a line's end continues it."""
    commands = []
    for block in BLOCK.finditer(text):
        if block["out"]:
            continue
        body = block["body"].replace("\\\n", "")
        commands += [line[2:] for line in body.splitlines() if line.startswith("$ ")]
    return commands


PAGES = [
    page
    for page in (
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        *sorted((ROOT / "docs").rglob("*.md")),
    )
    if commands_of(page.read_text(encoding="utf-8"))
]


def copy_of_checkout(folder: Path) -> Path:
    """The tracked files, and nothing that was made beside them."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    return folder


def plain_call(command: str) -> list[str] | None:
    """The arguments of a call of `edge-pipeline`; None if the command is something else."""
    program, *words = shlex.split(command)
    needs_shell = set("*?[]{}|&;<>$`~#!()") & set(command)
    return None if needs_shell or program != "edge-pipeline" else words


def run_in_shell(command: str, folder: Path) -> None:
    """Run a command in bash, in `folder`, with the programs of this environment."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", command],
        cwd=folder,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, f"$ {command}\n{done.stdout}{done.stderr}"


def test_blocks_are_read() -> None:
    page = (
        "```console\n$ first --long \\\n    line\nits output\n$ second\n```\n"
        "<!-- not run: takes an hour -->\n```console\n$ third\n```\n"
        "```python\n$ fourth\n```\n"
    )
    assert commands_of(page) == ["first --long     line", "second"]


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("edge-pipeline data list", ["data", "list"]),
        ("edge-pipeline verify 'my model'", ["verify", "my model"]),
        ("edge-pipeline develop *.dng -o out/", None),
        ("edge-pipeline develop a.dng -o - > a.png", None),
        ("HOME=/ edge-pipeline data list", None),
        ("make test", None),
    ],
)
def test_plain_calls_are_told_from_others(command: str, words: list[str] | None) -> None:
    assert plain_call(command) == words


@pytest.mark.docs
@pytest.mark.timeout(900)
@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_work(
    page: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    folder = copy_of_checkout(tmp_path)
    text = page.read_text(encoding="utf-8")
    for block in FILE.finditer(text):
        (folder / block["name"]).write_text(block["body"], encoding="utf-8")
        monkeypatch.delitem(sys.modules, Path(block["name"]).stem, raising=False)
    monkeypatch.chdir(folder)
    for i, command in enumerate(commands_of(text)):
        words = plain_call(command) if i else None
        if words is None:
            run_in_shell(command, folder)
        else:
            code = main(words)
            said = capfd.readouterr()
            assert code == 0, f"$ {command}\n{said.out}{said.err}"
