"""Every registered module with the protocol that it has to have; mypy checks this file.

tests/unit/test_conformance.py checks that no registered module is missing here.
"""

from __future__ import annotations

from collections.abc import Callable

from edge_pipeline.compiler.backends.base import Backend
from edge_pipeline.compiler.backends.coreml import backend as coreml
from edge_pipeline.compiler.backends.executorch import coreml as executorch_coreml
from edge_pipeline.compiler.backends.executorch import vulkan as executorch_vulkan
from edge_pipeline.compiler.backends.executorch import xnnpack as executorch
from edge_pipeline.compiler.backends.litert import backend as litert
from edge_pipeline.compiler.backends.onnx import backend as onnx
from edge_pipeline.compiler.passes.specialise import Specialise
from edge_pipeline.compiler.pipeline import PIPELINES
from edge_pipeline.compiler.program import Pass
from edge_pipeline.data import photographs, procedural, skimage_samples
from edge_pipeline.data.labelled import LabelledSet
from edge_pipeline.data.labels import (
    camvid,
    cityscapes,
    cub_birds,
    nuclei,
    oasis,
    oxford_pets,
    voc,
)
from edge_pipeline.data.labels import folder as labelled_folder
from edge_pipeline.data.pictures import Dataset
from edge_pipeline.harness.devices import adb, cuda, emulator, host, ios, ssh
from edge_pipeline.harness.devices.base import DeviceModule
from edge_pipeline.models import (
    hyperconv_isp,
    hyperconv_unet,
    patchwise_block,
    phi_fpn,
    phi_psp,
    phi_residual_unet,
    phi_se_unet,
    phi_unet,
    phi_unet_oasis,
    phi_unet_pets,
)
from edge_pipeline.models.base import ModelModule
from edge_pipeline.runtime import coreml as coreml_runtime
from edge_pipeline.runtime import eager
from edge_pipeline.runtime import executorch as executorch_runtime
from edge_pipeline.runtime import litert as litert_runtime
from edge_pipeline.runtime import onnx as onnx_runtime
from edge_pipeline.runtime.base import Runtime
from edge_pipeline.train.task import TaskModule
from edge_pipeline.train.tasks import isp, segmentation

__all__ = [
    "BACKENDS",
    "DATASETS",
    "DEVICES",
    "LABELLED_SETS",
    "MODELS",
    "PASSES",
    "RUNTIMES",
    "TASKS",
]


BACKENDS: dict[str, Backend] = {
    "coreml": coreml,
    "executorch": executorch,
    "executorch_coreml": executorch_coreml,
    "executorch_vulkan": executorch_vulkan,
    "litert": litert,
    "onnx": onnx,
}
RUNTIMES: dict[str, Runtime] = {
    "coreml": coreml_runtime,
    "eager": eager,
    "executorch": executorch_runtime,
    "litert": litert_runtime,
    "onnx": onnx_runtime,
}
MODELS: dict[str, ModelModule] = {
    "hyperconv_isp": hyperconv_isp,
    "hyperconv_unet": hyperconv_unet,
    "patchwise_block": patchwise_block,
    "phi_fpn": phi_fpn,
    "phi_psp": phi_psp,
    "phi_residual_unet": phi_residual_unet,
    "phi_se_unet": phi_se_unet,
    "phi_unet": phi_unet,
    "phi_unet_oasis": phi_unet_oasis,
    "phi_unet_pets": phi_unet_pets,
}
DATASETS: dict[str, Dataset] = {
    "photographs": photographs,
    "procedural": procedural,
    "skimage_samples": skimage_samples,
}
LABELLED_SETS: dict[str, LabelledSet] = {
    "camvid": camvid,
    "cityscapes": cityscapes,
    "cub_birds": cub_birds,
    "folder": labelled_folder,
    "nuclei": nuclei,
    "oasis": oasis,
    "oxford_pets": oxford_pets,
    "voc": voc,
}
DEVICES: dict[str, DeviceModule] = {
    "adb": adb,
    "cuda": cuda,
    "emulator": emulator,
    "host": host,
    "ios": ios,
    "ssh": ssh,
}
TASKS: dict[str, TaskModule] = {"isp": isp, "segmentation": segmentation}
PASSES: tuple[Pass, ...] = (*(step for steps in PIPELINES.values() for step in steps),)
# Built for one value, so it is in no pipeline.
SPECIALISE: Callable[..., Pass] = Specialise
