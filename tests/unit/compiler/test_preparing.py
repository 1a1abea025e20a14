from pathlib import Path

import pytest

pytest.importorskip("torch", reason="compiling needs torch")

from edge_pipeline.compiler.preparing import open_network
from edge_pipeline.compiler.request import CompileRequest
from edge_pipeline.errors import InputError

SMALL = {"width": 8, "coarse": 12, "n_basis": 2}


def opened(model, **options):
    return open_network(CompileRequest(model, Path("out"), "onnx", options=options, trimmed=True))


def test_a_trimmed_network_states_its_margin_and_its_smallest_size():
    geometry = opened("hyperconv_isp", **SMALL).geometry
    assert geometry.tile().margin == geometry.margin == 24
    assert geometry.minimum == 52
    with pytest.raises(InputError, match="multiples of 4 from 52"):
        geometry.size((48, 64), free=True)


def test_a_network_that_cannot_be_trimmed_is_refused():
    with pytest.raises(InputError, match="unet computes its whole output .*--trimmed"):
        opened("unet")
