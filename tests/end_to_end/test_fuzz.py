"""Thousands of damaged captures: no hang, no unforeseen exception, no picture, little memory.

`FUZZ_COUNT` is the number of files, and `FUZZ_CAPTURES` a folder with further captures to damage.
"""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from tests.data_files import CHART, data_file
from tests.fakes.artifacts import make_artifact
from tests.fakes.dng import Dng, write_dng
from tests.fakes.mutations import KINDS, mutate
from tests.fakes.reader_farm import MEMORY_BYTES

ASCII, SHORT, RATIONAL = 2, 3, 5
COUNT = int(os.environ.get("FUZZ_COUNT", "4000"))
LONGEST_S = 10.0


def small_dng(path: Path) -> Path:
    """A small capture with many tags, strips, and masked pixels."""
    dng = Dng(
        active=(1, 1, 47, 59),
        strip_rows=8,
        exif={
            33434: (RATIONAL, [0.004]),
            33437: (RATIONAL, [2.8]),
            34855: (SHORT, [400]),
            36867: (ASCII, b"2024:02:29 13:37:00\0"),
            42036: (ASCII, b"Fake 85mm F1.8\0"),
        },
    )
    return write_dng(path, np.full((48, 60), 1000, np.uint16), dng)


def sources(tmp_path: Path) -> list[Path]:
    made = [
        small_dng(tmp_path / "small.dng"),
        CHART,
        data_file("captures/RAW_KODAK_DC50.KDC"),
        data_file("unsupported/exiv2-canon-powershot-s40.crw"),
    ]
    more = os.environ.get("FUZZ_CAPTURES")
    return made + (sorted(p for p in Path(more).iterdir() if p.is_file()) if more else [])


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_damaged_captures_are_read_or_refused(tmp_path: Path) -> None:
    farm = [sys.executable, "-m", "tests.fakes.reader_farm", str(tmp_path), str(COUNT)]
    done = subprocess.run(
        [*farm, *map(str, sources(tmp_path))],
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(told) == COUNT
    counts = Counter((one["source"], one["kind"], one["outcome"].split(":")[0]) for one in told)
    for key, count in sorted(counts.items()):
        print(f"{count:6} {' '.join(key)}")  # noqa: T201 - the counts are the result
    slowest, largest = max(t["seconds"] for t in told), max(t["rss"] for t in told)
    print(f"slowest {slowest:.2f} s, largest {largest / 1e6:.0f} MB")  # noqa: T201
    assert [one for one in told if one["outcome"].startswith("exception")] == []
    assert [one for one in told if one["outcome"] == "signal: SIGALRM"] == []
    assert [one for one in told if one["kind"] == "cut" and one["outcome"] == "read"] == []
    assert slowest < LONGEST_S
    assert largest < MEMORY_BYTES


@pytest.mark.slow
def test_a_batch_with_damaged_captures_writes_the_whole_ones(tmp_path: Path) -> None:
    """Through the command line, two at once: a line for each, nothing half-written."""
    model = make_artifact(tmp_path / "model", filters="split").folder
    source = small_dng(tmp_path / "small.dng").read_bytes()
    card = tmp_path / "card"
    card.mkdir()
    for seed in range(40):
        data = mutate(source, seed, KINDS[seed % len(KINDS)])
        (card / f"broken{seed}.dng").write_bytes(data)
    (card / "whole.dng").write_bytes(source)
    command = [sys.executable, "-m", "edge_pipeline", "develop", str(card)]
    done = subprocess.run(
        [*command, "-o", str(tmp_path / "out"), "--model", str(model), "--jobs", "2"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    *lines, summary = done.stdout.splitlines()
    errors = [line for line in done.stderr.splitlines() if not line.startswith("note: ")]
    assert summary == f"{len(lines)} developed, 0 existed, {41 - len(lines)} failed"
    assert len(errors) == 41 - len(lines)
    assert all(line.startswith(f"error: {card}") for line in errors)
    assert not [line for line in errors if "unexpected" in line or "Error" in line]
    assert not [line for line in errors if "Traceback" in line]
    assert any("whole.dng ->" in line for line in lines)
    assert len(list((tmp_path / "out").iterdir())) == len(lines)
    # Those that were truncated: every seventh.
    assert not [n for n in range(0, 40, 7) if (tmp_path / f"out/broken{n}.jpg").exists()]
