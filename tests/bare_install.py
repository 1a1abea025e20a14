"""The base install, alone in a fresh environment, as a photographer gets it.

Run by `make bare`. Installs the package as a wheel with its base dependencies, then checks from
another folder that no heavy package came along, that every device-side module can be imported,
that every verb explains itself, that the shipped model develops the bundled capture and can be
verified and measured, and that a missing extra is named.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LARGEST_BYTES = 400_000_000

IMPORTS = """
import importlib, importlib.resources, importlib.util, pkgutil
import edge_pipeline
absent = ("torch", "executorch", "onnx", "onnxscript", "coremltools", "litert_torch", "jax")
came = [name for name in absent if importlib.util.find_spec(name)]
assert not came, f"the base install brought {came}"
rooms = ("models", "compiler", "data", "train", "sweep", "suite", "calibrate")
rooms += ("runtime.executorch", "harness.devices.cuda")
needs_torch = tuple(f"edge_pipeline.{room}" for room in rooms)
assert (importlib.resources.files(edge_pipeline) / "py.typed").is_file(), "py.typed is absent"
count = 0
for module in pkgutil.walk_packages(edge_pipeline.__path__, "edge_pipeline."):
    if not module.name.startswith(needs_torch):
        importlib.import_module(module.name)
        count += 1
print(count, "modules imported from", edge_pipeline.__path__[0])
"""
FIND = "from edge_pipeline.files import packaged; print(packaged('calibration'))"


class _Bare:
    """A fresh environment with the base install, and a folder to work in."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.bin = folder / "venv" / "bin"

    def run(self, *words: str | Path, expect: int = 0) -> subprocess.CompletedProcess[str]:
        """Run a program of the environment; stop when its exit code is another."""
        environment = {
            name: value
            for name, value in os.environ.items()
            if name not in {"PYTHONPATH", "VIRTUAL_ENV"}
        }
        program, *rest = [str(word) for word in words]
        done = subprocess.run(
            [str(self.bin / program), *rest],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=600,
        )
        said = (done.stdout + done.stderr).strip()
        if done.returncode != expect:
            sys.exit(f"{program} {rest} ended with {done.returncode}, not {expect}:\n{said}")
        return done

    def step(self, what: str) -> None:
        """Tell that a check passed."""
        sys.stdout.write(f"ok: {what}\n")
        sys.stdout.flush()


def _install(bare: _Bare) -> None:
    subprocess.run([sys.executable, "-m", "venv", str(bare.folder / "venv")], check=True)
    pip = ("python", "-m", "pip", "install", "-q", "--disable-pip-version-check")
    bare.run(*pip, "-c", ROOT / "constraints.txt", ROOT)
    files = (path for path in (bare.folder / "venv").rglob("*") if path.is_file())
    size = sum(path.lstat().st_size for path in files)
    if size > LARGEST_BYTES:
        sys.exit(f"the base install takes {size} bytes, more than {LARGEST_BYTES}")
    bare.step(f"the base install takes {size / 1e6:.0f} MB")


def _check_imports(bare: _Bare) -> None:
    bare.step(bare.run("python", "-c", IMPORTS).stdout.strip())
    sys.path.insert(0, str(ROOT))
    from edge_pipeline.cli.main import VERBS

    bare.run("edge-pipeline", "--help")
    for verb in VERBS:
        bare.run("edge-pipeline", verb.name, "--help")
    bare.step("every verb explains itself")


def _check_use(bare: _Bare) -> None:
    data = Path(bare.run("python", "-c", FIND).stdout.strip())
    capture = data / "captures" / "colorchart.dng"
    artifact = data / "pretrained" / "isp_default" / "artifact"
    if not capture.is_relative_to(bare.folder):
        sys.exit(f"the wheel carries no data; it looks for it in {data}")
    for name in ("picture.jpg", "picture.png", "picture.tif"):
        bare.run("edge-pipeline", "develop", capture, "-o", name)
        if (bare.folder / name).stat().st_size < 100_000:
            sys.exit(f"{name} is too small to be a picture")
    bare.step("the shipped model develops the bundled capture")
    segmenter = data / "pretrained" / "phi_unet_nuclei" / "artifact"
    words = ("segment", "picture.png", "-o", "masks")
    if segmenter.exists():
        bare.run("edge-pipeline", *words)
        if not (bare.folder / "masks" / "picture.mask.png").is_file():
            sys.exit("segment wrote no mask")
    else:
        said = bare.run("edge-pipeline", *words, expect=2).stderr
        if "no default segmenter" not in said or said.count("\n") != 1:
            sys.exit(f"segment does not name the missing model in one line: {said}")
    bare.step("segment writes a mask, or names the model that is missing")
    bare.run("edge-pipeline", "verify", artifact)
    bare.run("edge-pipeline", "bench", artifact, "--records", "records.jsonl")
    bare.run("edge-pipeline", "inspect", artifact)
    bare.step("the shipped artifact is verified, measured and inspected")


def _check_missing_extras(bare: _Bare) -> None:
    for extra, words in (
        ("onnx", ("compile", "hyperconv_unet", "-o", "made", "--backend", "onnx")),
        ("executorch", ("compile", "hyperconv_unet", "-o", "made", "--backend", "executorch")),
        ("train", ("inspect", "hyperconv_unet")),
    ):
        said = bare.run("edge-pipeline", *words, expect=2).stderr
        if f"edge-pipeline[{extra}]" not in said or said.count("\n") != 1:
            sys.exit(f"{' '.join(words)} does not name the extra {extra} in one line: {said}")
    if (bare.folder / "made").exists():
        sys.exit("a refused compilation left a folder")
    bare.step("a missing extra is named")


def main() -> None:
    """Run all checks; leave with a message at the first that fails."""
    with tempfile.TemporaryDirectory(prefix="edge-pipeline-bare-") as name:
        bare = _Bare(Path(name).resolve())
        _install(bare)
        _check_imports(bare)
        _check_use(bare)
        _check_missing_extras(bare)


if __name__ == "__main__":
    main()
