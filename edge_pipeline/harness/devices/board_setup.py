"""Makes a Python environment on a board; the board's own python3 runs this file from stdin.

It imports the standard library only, and is written for Python 3.7 and later, so that an old Python
can say that it is too old. Its argument is a JSON object: `root` (the folder of the environments),
`name` (of the environment), `requirements` and `options` (of pip). It prints JSON lines: `step` for
progress, and at last either `python` (the interpreter's path) or `error` with `detail`.
"""

from __future__ import annotations

import fcntl
import json
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

__all__ = ["main"]

_OLDEST = (3, 11)
_NEW, _COMPLETE = ".new", "complete"
_NETWORK = ("name resolution", "connection", "unreachable", "timed out", "max retries")
_NO_WHEEL = re.compile(r"No matching distribution found for (\S+)")


class Failed(Exception):  # noqa: N818 - the result of a step
    """A step failed.

    Args:
        kind: `disk`, `network`, `venv`, `wheel` or `pip`.
        detail: Part of the message.
    """

    def __init__(self, kind: str, detail: str = "") -> None:
        super().__init__(kind)
        self.kind = kind
        self.detail = detail


def _say(**fields: str) -> None:
    sys.stdout.write(json.dumps(fields) + "\n")
    sys.stdout.flush()


def _run(words: list[str]) -> tuple[int, str]:
    done = subprocess.run(  # noqa: S603 - the harness's own words
        words,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    return done.returncode, done.stdout.decode("utf-8", "replace")


def _install(python: str, requirements: list[str], options: list[str]) -> None:
    words = [python, "-m", "pip", "install", "--no-input", "--disable-pip-version-check"]
    code, text = _run([*words, "--only-binary=:all:", *options, *requirements])
    if code == 0:
        return
    lower = text.lower()
    if "no space left" in lower:
        raise Failed("disk", "No space left on device")
    # Without a network, pip also says that it found no distribution.
    if any(word in lower for word in _NETWORK):
        raise Failed("network")
    missing = _NO_WHEEL.search(text)
    raise Failed("wheel", missing[1]) if missing else Failed("pip")


def _build(target: Path, requirements: list[str], options: list[str]) -> None:
    for other in target.parent.glob("*" + _NEW):  # of interrupted builds: this one has the lock
        shutil.rmtree(other, ignore_errors=True)
    temporary = target.with_name(target.name + _NEW)
    try:
        _say(step="making a Python environment")
        if _run([sys.executable, "-m", "venv", str(temporary)])[0]:
            raise Failed("venv")
        _say(step="installing " + ", ".join(requirements))
        _install(str(temporary / "bin" / "python"), requirements, options)
        (temporary / _COMPLETE).write_text(json.dumps(requirements), encoding="utf-8")
        shutil.rmtree(target, ignore_errors=True)
        temporary.rename(target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def main() -> None:
    """Make the environment unless it is there, and print the path of its interpreter."""
    order = json.loads(sys.argv[1])
    if sys.version_info < _OLDEST:
        _say(error="old", detail=platform.python_version())
        return
    target = Path(order["root"]) / order["name"]
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with (target.parent / "lock").open("w", encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not (target / _COMPLETE).exists():
                _build(target, order["requirements"], order["options"])
        _say(python=str(target / "bin" / "python"))
    except Failed as error:
        _say(error=error.kind, detail=error.detail)
    except OSError as error:
        _say(error="disk", detail=str(error.strerror))


if __name__ == "__main__":
    main()
