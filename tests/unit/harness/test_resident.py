"""A peak is seen after it is gone, and forgotten after a reset."""

import subprocess
import sys

import numpy as np
import pytest

from edge_pipeline.harness.resident import reset_peak

MIB = 2**20


def _run(code: str) -> list[int]:
    """The numbers that `code` prints in a process of its own, whose memory no other test uses."""
    code = f"from edge_pipeline.harness.resident import *\nimport numpy as np\n{code}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    return [int(word) for word in done.stdout.split()]


def test_a_passing_allocation_raises_the_peak():
    if not reset_peak():
        pytest.skip("this system cannot reset the peak")
    during, after = _run(
        f"""
reset_peak()
before = resident_bytes()
block = np.ones({64 * MIB}, np.uint8)
del block
print(peak_bytes() - before)
reset_peak()
print(peak_bytes() - before)
"""
    )
    assert 60 * MIB < during < 80 * MIB
    assert after < 30 * MIB


def test_a_childs_peak_is_not_its_parents():
    """ru_maxrss would fail here: it is kept over exec."""
    block = np.ones(300 * MIB, np.uint8)
    (peak,) = _run("print(peak_bytes())")
    assert block.nbytes == 300 * MIB
    assert peak < 200 * MIB
