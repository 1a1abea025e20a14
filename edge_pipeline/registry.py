"""The registries: literal tables from names to modules, which are imported when needed.

To add a network, backend, runtime, device or data set, write its module and add one line here.
"""

from __future__ import annotations

import importlib
from types import ModuleType

from edge_pipeline.errors import UnknownNameError

__all__ = [
    "BACKENDS",
    "DATASETS",
    "DEVICES",
    "EXTRAS",
    "LABELLED_SETS",
    "MODELS",
    "RUNTIMES",
    "TASKS",
    "Registry",
]


class Registry:
    """A fixed table of names and modules; a module is imported when it is first used.

    Args:
        kind: Kind of the entries, for messages ("network", "backend", ...).
        entries: Pairs of a name and a module path.

    Raises:
        ValueError: If a name occurs twice.
    """

    def __init__(self, kind: str, entries: tuple[tuple[str, str], ...]) -> None:
        self.kind = kind
        self._modules = dict(entries)
        if len(self._modules) != len(entries):
            names = [name for name, _ in entries]
            twice = sorted({name for name in names if names.count(name) > 1})
            raise ValueError(f"{kind} registry: {', '.join(twice)} is registered twice")

    def __contains__(self, name: object) -> bool:
        return name in self._modules

    def names(self) -> list[str]:
        """Return all names, sorted."""
        return sorted(self._modules)

    def load(self, name: str) -> ModuleType:
        """Import and return the module registered as `name`.

        Raises:
            UnknownNameError: If no module has this name; the message lists the known names.
        """
        if name not in self._modules:
            raise UnknownNameError(
                f"no {self.kind} is called {name!r}; choose from {', '.join(self.names())}"
            )
        return importlib.import_module(self._modules[name])


MODELS = Registry(
    "network",
    (
        ("hyperconv_isp", "edge_pipeline.models.hyperconv_isp"),
        ("hyperconv_unet", "edge_pipeline.models.hyperconv_unet"),
        ("phi_fpn", "edge_pipeline.models.phi_fpn"),
        ("phi_psp", "edge_pipeline.models.phi_psp"),
        ("phi_residual_unet", "edge_pipeline.models.phi_residual_unet"),
        ("phi_se_unet", "edge_pipeline.models.phi_se_unet"),
        ("phi_unet", "edge_pipeline.models.phi_unet"),
        ("phi_unet_oasis", "edge_pipeline.models.phi_unet_oasis"),
        ("phi_unet_pets", "edge_pipeline.models.phi_unet_pets"),
        ("patchwise_block", "edge_pipeline.models.patchwise_block"),
    ),
)
BACKENDS = Registry(
    "backend",
    (
        ("coreml", "edge_pipeline.compiler.backends.coreml.backend"),
        ("executorch", "edge_pipeline.compiler.backends.executorch.xnnpack"),
        ("executorch_coreml", "edge_pipeline.compiler.backends.executorch.coreml"),
        ("executorch_vulkan", "edge_pipeline.compiler.backends.executorch.vulkan"),
        ("litert", "edge_pipeline.compiler.backends.litert.backend"),
        ("onnx", "edge_pipeline.compiler.backends.onnx.backend"),
    ),
)
# The extras of this package that install the requirements of a backend, in the syntax of pip.
EXTRAS = {
    "coreml": "coreml",
    "executorch": "executorch",
    "executorch_coreml": "executorch,coreml",
    "executorch_vulkan": "executorch",
    "litert": "litert",
    "onnx": "onnx",
}
RUNTIMES = Registry(
    "runtime",
    (
        ("coreml", "edge_pipeline.runtime.coreml"),
        ("eager", "edge_pipeline.runtime.eager"),
        ("executorch", "edge_pipeline.runtime.executorch"),
        ("litert", "edge_pipeline.runtime.litert"),
        ("onnx", "edge_pipeline.runtime.onnx"),
    ),
)
DEVICES = Registry(
    "device",
    (
        ("adb", "edge_pipeline.harness.devices.adb"),
        ("cuda", "edge_pipeline.harness.devices.cuda"),
        ("emulator", "edge_pipeline.harness.devices.emulator"),
        ("host", "edge_pipeline.harness.devices.host"),
        ("ios", "edge_pipeline.harness.devices.ios"),
        ("ssh", "edge_pipeline.harness.devices.ssh"),
    ),
)
DATASETS = Registry(
    "data set",
    (
        ("photographs", "edge_pipeline.data.photographs"),
        ("procedural", "edge_pipeline.data.procedural"),
        ("skimage_samples", "edge_pipeline.data.skimage_samples"),
    ),
)
LABELLED_SETS = Registry(
    "labelled data set",
    (
        ("camvid", "edge_pipeline.data.labels.camvid"),
        ("cityscapes", "edge_pipeline.data.labels.cityscapes"),
        ("cub_birds", "edge_pipeline.data.labels.cub_birds"),
        ("folder", "edge_pipeline.data.labels.folder"),
        ("nuclei", "edge_pipeline.data.labels.nuclei"),
        ("oasis", "edge_pipeline.data.labels.oasis"),
        ("oxford_pets", "edge_pipeline.data.labels.oxford_pets"),
        ("voc", "edge_pipeline.data.labels.voc"),
    ),
)
TASKS = Registry(
    "task",
    (
        ("isp", "edge_pipeline.train.tasks.isp"),
        ("segmentation", "edge_pipeline.train.tasks.segmentation"),
    ),
)
