"""The documentation's commands work as they stand.

Every fenced `console` block of README.md, CONTRIBUTING.md and docs/ is run, in order, in a copy of
the repository: the lines that start with `$ `, with their continuations. A block stays out when the
line above it is `<!-- not run: reason -->`. A `python` or `toml` block below `<!-- file: NAME -->`
is first written as that file.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

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


def test_blocks_are_read() -> None:
    page = (
        "```console\n$ first --long \\\n    line\nits output\n$ second\n```\n"
        "<!-- not run: takes an hour -->\n```console\n$ third\n```\n"
        "```python\n$ fourth\n```\n"
    )
    assert commands_of(page) == ["first --long     line", "second"]


@pytest.mark.docs
@pytest.mark.timeout(900)
@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_work(page: Path, tmp_path: Path) -> None:
    folder = copy_of_checkout(tmp_path)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    text = page.read_text(encoding="utf-8")
    for block in FILE.finditer(text):
        (folder / block["name"]).write_text(block["body"], encoding="utf-8")
    for command in commands_of(text):
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", command],
            cwd=folder,
            env={**os.environ, "PATH": path},
            capture_output=True,
            text=True,
            timeout=600,
        )
        assert done.returncode == 0, f"$ {command}\n{done.stdout}{done.stderr}"
