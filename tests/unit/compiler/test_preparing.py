from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="compiling needs torch")

from edge_pipeline.compiler.preparing import open_network
from edge_pipeline.compiler.request import CompileRequest
from edge_pipeline.errors import InputError

SMALL = {"width": 8, "coarse": 12, "n_basis": 2}


def opened(model, options=None, **more):
    request = CompileRequest(model, Path("out"), "onnx", options=options or {}, trimmed=True)
    return open_network(replace(request, **more))


def test_a_trimmed_network_states_its_margin_and_its_smallest_size():
    geometry = opened("hyperconv_isp", SMALL).geometry
    assert geometry.tile().margin == geometry.margin == 24
    assert geometry.minimum == 52
    with pytest.raises(InputError, match=r"multiples of 4 from 52"):
        geometry.size((48, 64), free=True)


def test_the_reference_size_of_a_trimmed_network_is_one_that_it_accepts():
    options = {"n_fwd": 4, "n_embed": 4, "n_hid": 8, "head": "shuffle"}
    geometry = opened("hyperconv_unet", options).geometry
    assert (geometry.margin, geometry.minimum) == (72, 160)
    assert geometry.size(None, free=True) == (160, 192)


def test_a_network_that_cannot_be_trimmed_is_refused():
    with pytest.raises(InputError, match=r"phi_unet_pets computes its whole .*--trimmed"):
        opened("phi_unet_pets", fixed={"phi": 0.5})
