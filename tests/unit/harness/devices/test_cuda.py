"""The GPU's process, run on the CPU; the parts that only CUDA has are marked `gpu`."""

import sys

import pytest

pytest.importorskip("torch", reason="the GPU's process runs torch")

from edge_pipeline.errors import InputError
from edge_pipeline.files import packaged
from edge_pipeline.harness.bench import Settings, bench
from edge_pipeline.harness.devices import cuda
from edge_pipeline.harness.devices.base import Options
from edge_pipeline.harness.devices.cuda import Cuda, attached, open_device
from edge_pipeline.harness.protocol import Plan

QUICK = Settings(plan=Plan(runs=30, seconds=0, warmup=0))


@pytest.fixture(scope="module")
def folder():
    return packaged("calibration") / "pretrained/phi_unet_nuclei/artifact"


@pytest.mark.parametrize(
    "variant", ["eager", "onnx", pytest.param("channels_last", marks=pytest.mark.slow)]
)
def test_variants_compute_the_reference(folder, variant):
    (record,) = bench([folder], Cuda(variant, where="cpu"), QUICK)
    assert record.verification.result == "passed"
    assert record.device == f"cuda:{variant}"
    assert record.environment.accelerator_model_name == "cpu"
    assert record.versions["torch"]
    assert (record.memory is None) == (variant == "onnx")


def test_half_precision_is_verified_too(folder):
    (record,) = bench([folder], Cuda("fp16", where="cpu"), QUICK)
    assert record.precision == "fp16"
    assert record.verification.result == "passed"
    assert 1e-5 < record.verification.max_rel < 0.05


@pytest.mark.slow
def test_the_compiled_variant_computes_the_reference(folder):
    (record,) = bench([folder], Cuda("compile", where="cpu"), QUICK)
    assert record.verification.result == "passed"


def test_without_a_gpu_the_reason_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    (found,) = attached()
    assert found.problem == "this machine has no NVIDIA driver (nvidia-smi is not found)"
    with pytest.raises(InputError, match="device cuda cannot be used: this machine has no NVIDIA"):
        open_device("", Options())


def test_an_unknown_variant_is_refused():
    with pytest.raises(InputError, match="no variant is called 'turbo'; choose from eager, comp"):
        open_device("turbo", Options())


def test_the_driver_s_program_is_read(monkeypatch, tmp_path):
    program = tmp_path / "nvidia-smi"
    program.write_text(
        f"#!{sys.executable}\n"
        "import sys\n"
        "print('NVIDIA H100 80GB HBM3' if 'name' in sys.argv[1] else '41, 120.5, Not Active')\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert [found.name for found in attached()][:2] == ["cuda:eager", "cuda:compile"]
    assert attached()[0].description == "NVIDIA H100 80GB HBM3"
    found = cuda._sensors_of(cuda._smi("temperature.gpu,power.draw,slow"))
    assert (found.temperatures_c, found.power_w, found.throttled) == ({"gpu": 41.0}, 120.5, False)
    assert cuda._sensors_of(["[N/A]", "[N/A]", "Active"]).throttled is True


@pytest.mark.gpu
@pytest.mark.parametrize("variant", ["eager", "compile", "channels_last", "fp16"])
def test_a_gpu_measures_the_reference(folder, variant):
    (record,) = bench([folder], open_device(variant, Options()), QUICK)
    assert record.verification.result == "passed"
    assert record.memory.peak_bytes > 0
