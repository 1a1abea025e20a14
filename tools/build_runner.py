"""Build `edge_runner` for AArch64 from `devices/runner/`, and put it into the user's cache folder.

    python -m tools.build_runner [-o FILE] [--if-possible]

Requires Rust 1.94 or newer with the target aarch64-unknown-linux-musl, which rustup installs if it
is missing, and the crates of `Cargo.lock`, which cargo downloads once. With `--if-possible`, a
missing tool or registry is reported and is not an error; a source that does not compile always is.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

from edge_pipeline.harness.runner import cached_runner, find_runner

_SOURCE = Path(__file__).parents[1] / "devices" / "runner"
_TARGET = "aarch64-unknown-linux-musl"
_BUILT = _SOURCE.parents[1] / "build" / "runner" / _TARGET / "release" / "edge_runner"


class NotPossibleError(Exception):
    """A tool or a registry is missing."""


def main() -> int:
    """Parse the command line, build, and print the path and the size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, default=cached_runner())
    parser.add_argument("--if-possible", action="store_true")
    arguments = parser.parse_args()
    try:
        _prepare()
    except NotPossibleError as error:
        if arguments.if_possible:
            print(f"edge_runner is not built: {error}")
            return 0
        print(f"error: {error}", file=sys.stderr)
        return 1
    if _run("cargo", "build", "--release", "--locked", "--target", _TARGET).returncode:
        print(f"error: cargo could not build {_SOURCE}", file=sys.stderr)
        return 1
    _install(arguments.output)
    size = find_runner(arguments.output).stat().st_size
    print(f"built {arguments.output} ({size / 1e6:.1f} MB)")
    return 0


def _prepare() -> None:
    """Check that the tools are there, and download what they need."""
    if shutil.which("cargo") is None or shutil.which("rustc") is None:
        raise NotPossibleError("cargo was not found; install Rust 1.94 or newer")
    library = _run("rustc", "--print", "target-libdir", "--target", _TARGET, quiet=True)
    if library.returncode or not Path(library.stdout.strip()).is_dir():
        if shutil.which("rustup") is None:
            raise NotPossibleError(f"this Rust has no target {_TARGET}; install Rust by rustup")
        if _run("rustup", "target", "add", _TARGET).returncode:
            raise NotPossibleError(f"rustup could not install the target {_TARGET}")
    if _run("cargo", "fetch", "--locked", "--target", _TARGET).returncode:
        raise NotPossibleError("cargo could not download the crates of devices/runner/Cargo.lock")


def _run(*command: str, quiet: bool = False) -> subprocess.CompletedProcess[str]:
    # CARGO_TARGET_DIR would move the result. The settings of cargo are found from its folder.
    environment = {name: value for name, value in os.environ.items() if name != "CARGO_TARGET_DIR"}
    return subprocess.run(  # noqa: S603 - fixed commands
        command, cwd=_SOURCE, env=environment, text=True, check=False, capture_output=quiet
    )


def _install(output: Path) -> None:
    output.parent.mkdir(parents=True, exist_ok=True)
    draft = output.with_name(f".{output.name}-{os.getpid()}")
    shutil.copy(_BUILT, draft)
    draft.replace(output)


if __name__ == "__main__":
    sys.exit(main())
