"""A peak is seen after it is gone, and forgotten after a reset."""

import subprocess
import sys

import numpy as np
import pytest

from edge_pipeline.harness.resident import peak_bytes, reset_peak, resident_bytes

MIB = 2**20


def test_a_passing_allocation_raises_the_peak():
    if not reset_peak():
        pytest.skip("this system cannot reset the peak")
    before = resident_bytes()
    block = np.ones(64 * MIB, np.uint8)
    del block
    assert 60 * MIB < peak_bytes() - before < 80 * MIB
    assert reset_peak()
    assert peak_bytes() - before < 30 * MIB


def test_a_childs_peak_is_not_its_parents():
    """ru_maxrss would fail here: it is kept over exec."""
    block = np.ones(300 * MIB, np.uint8)
    code = "from edge_pipeline.harness.resident import peak_bytes; print(peak_bytes())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert block.nbytes == 300 * MIB
    assert int(done.stdout) < 200 * MIB
