"""The network in which faults are planted."""

import pytest


@pytest.fixture(scope="module")
def net():
    pytest.importorskip("torch", reason="compiling needs torch")
    pytest.importorskip("onnxscript", reason="the extra onnx is not installed")
    import torch

    from tests.fakes.faults import GRID, Net
    from tests.programs import exported

    torch.manual_seed(3)
    model = Net().eval()
    inputs = (torch.randn(1, 3, 16, 16), torch.randn(1, 2, GRID, GRID))
    return exported(model, *inputs), inputs
