"""Read many damaged captures, each in a process of its own that is forked after the imports.

`python -m tests.fakes.reader_farm FOLDER COUNT SOURCE...` prints a JSON line for each file. Started
as a program, it has one thread, so that forking is safe.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import sys
import tempfile
import traceback
from pathlib import Path
from time import perf_counter

import numpy as np

from edge_pipeline.errors import EdgePipelineError
from edge_pipeline.isp.output import write_picture
from edge_pipeline.raw import capture as capture_module
from edge_pipeline.raw import reader
from edge_pipeline.raw.capture import libraw_exposure_ev, normalise
from tests.fakes.mutations import KINDS, mutate

MAX_PIXELS = 20_000_000
MEMORY_BYTES = 1 << 30
_SECONDS = 20


def _develop(source: Path, folder: Path) -> str:
    """Do all that `develop` does with a file, except the network; return the outcome."""
    reader.main(source, folder, MAX_PIXELS)
    facts = json.loads((folder / "facts.json").read_text())
    if "too_large" in facts:
        return "too large"
    if "refused" in facts:
        return f"refused: {facts['refused']}"
    mosaic = np.load(folder / "mosaic.npy", allow_pickle=False)
    try:
        capture = capture_module._capture(source, mosaic, facts)
    except EdgePipelineError as error:
        return f"refused: {error}"
    assert np.isfinite(normalise(capture, capture.wb)).all()
    assert np.isfinite(libraw_exposure_ev(capture))
    for suffix, dtype in ((".jpg", np.uint8), (".png", np.uint8), (".tiff", np.uint16)):
        picture = np.zeros((4, 4, 3), dtype)
        target = folder / f"a{suffix}"
        write_picture(target, picture, exif=capture.exif, software="x", sidecar=None, force=True)
    return "read"


def _child(source: Path, folder: Path, errors: Path) -> None:
    """Run in the forked process, and end it."""
    with errors.open("w") as log:
        os.dup2(log.fileno(), 2)
        signal.alarm(_SECONDS)
        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_BYTES, MEMORY_BYTES))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        try:
            (folder / "outcome").write_text(_develop(source, folder))
        except BaseException:  # noqa: BLE001 - told by the status
            traceback.print_exc(file=log)
            log.flush()
            os._exit(1)
    os._exit(0)


def _one(data: bytes, suffix: str, folder: Path) -> dict[str, object]:
    source, errors, work = folder / f"x{suffix}", folder / "errors", folder / "work"
    source.write_bytes(data)
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    begun = perf_counter()
    pid = os.fork()
    if pid == 0:
        _child(source, work, errors)
    _, status, usage = os.wait4(pid, 0)
    code = os.waitstatus_to_exitcode(status)
    if code == 0:
        outcome = (work / "outcome").read_text()
    elif code < 0:
        outcome = f"signal: {signal.Signals(-code).name}"
    else:
        outcome = f"exception: {errors.read_text()[-600:]}"
    return {"outcome": outcome, "seconds": perf_counter() - begun, "rss": usage.ru_maxrss * 1024}


def main(folder: Path, count: int, sources: list[Path]) -> None:
    """Print the outcome of `count` damaged files, an equal share of each source and kind."""
    contents = [source.read_bytes() for source in sources]
    with tempfile.TemporaryDirectory(dir=folder) as made:
        for seed in range(count):
            number, kind = seed % len(sources), KINDS[seed // len(sources) % len(KINDS)]
            data = mutate(contents[number], seed, kind)
            told = _one(data, sources[number].suffix, Path(made))
            about = {"source": sources[number].name, "kind": kind, "seed": seed}
            sys.stdout.write(json.dumps(about | told) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), [Path(word) for word in sys.argv[3:]])
