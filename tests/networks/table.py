"""The table of networks: the factory of each network, and the shapes of its inputs."""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import nn

__all__ = ["NETWORKS", "Known"]


@dataclass(frozen=True)
class Known:
    """A network that was designed outside this project.

    Attributes:
        factory: `module:factory`, relative to `tests.networks`.
        inputs: Shapes of the inputs, by the names of the parameters of `forward`.
        kind: Short description for tables.
        needs: Library that the factory imports; empty for none.
        slow: Whether compiling takes more than a few seconds per runtime.
        larger: Shapes of those inputs that `timed` replaces by larger ones.
    """

    factory: str
    inputs: Mapping[str, tuple[int, ...]]
    kind: str
    needs: str = ""
    slow: bool = False
    larger: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    @property
    def timed(self) -> dict[str, tuple[int, ...]]:
        """Shapes so large that computing takes longer than the overhead of a call."""
        return dict(self.inputs) | dict(self.larger)

    @property
    def source(self) -> str:
        """The network as an argument of the command line."""
        return f"tests.networks.{self.factory}"

    def build(self) -> nn.Module:
        """Return the network in eval mode."""
        module, _, name = self.factory.partition(":")
        built = getattr(importlib.import_module(f"tests.networks.{module}"), name)()
        assert isinstance(built, nn.Module)
        return built


_IMAGE = {"image": (1, 3, 32, 32)}
_LARGE = {"image": (1, 3, 128, 128)}

NETWORKS: dict[str, Known] = {
    "cond_conv": Known("mixtures:cond_conv", _IMAGE, "CondConv MobileNet blocks", larger=_LARGE),
    "dynamic": Known(
        "mixtures:dynamic", _IMAGE, "dynamic convolution, attention over kernels", larger=_LARGE
    ),
    "odconv": Known("mixtures:odconv", _IMAGE, "ODConv MobileNetV2 blocks", larger=_LARGE),
    "hyperseg_m": Known(
        "hyperseg:hyperseg_m",
        {"image": (1, 3, 64, 128)},
        "HyperSeg-M, small",
        larger={"image": (1, 3, 256, 512)},
    ),
    "involution": Known("per_pixel:involution", _IMAGE, "involution", larger=_LARGE),
    "kernel_prediction": Known(
        "per_pixel:kernel_prediction",
        {"noisy": (1, 3, 32, 32)},
        "a 5 x 5 kernel per pixel",
        larger={"noisy": (1, 3, 128, 128)},
    ),
    "filter_adaptive": Known(
        "per_pixel:filter_adaptive",
        {"dark": (1, 3, 32, 32)},
        "a kernel per pixel and channel",
        larger={"dark": (1, 3, 128, 128)},
    ),
    "generator": Known("stylegan:generator", {"latent": (1, 16)}, "StyleGAN2's generator"),
    "face_decoder": Known(
        "stylegan:face_decoder", {"face": (1, 3, 32, 32)}, "GFPGAN's encoder and decoder"
    ),
    "film_unet": Known(
        "conditioned:film_unet",
        _IMAGE | {"time": (1,)},
        "UNet with FiLM and time steps",
        larger=_LARGE,
    ),
    "lora": Known(
        "conditioned:lora",
        _IMAGE | {"description": (1, 6)},
        "LoRA, factors from a hypernetwork",
        larger=_LARGE,
    ),
    "weight_norm": Known(
        "normalised:weighted", _IMAGE, "weight_norm, 1-d, 2-d and transposed", larger=_LARGE
    ),
    "spectral_norm": Known("normalised:spectral", _IMAGE, "spectral_norm as a parametrisation"),
    "old_spectral_norm": Known("normalised:spectral_as_before", _IMAGE, "spectral_norm as a hook"),
    "standardised": Known(
        "normalised:standardised",
        {"input": (1, 3, 32, 32)},
        "weight standardisation",
        larger={"input": (1, 3, 128, 128)},
    ),
    "patches": Known("computed:patches", _IMAGE, "kernels from other operators", larger=_LARGE),
    "correlated": Known(
        "computed:correlated",
        {"target": (1, 3, 15, 15), "search": (1, 3, 31, 31)},
        "a map's features as kernels",
        larger={"target": (1, 3, 63, 63), "search": (1, 3, 127, 127)},
    ),
    "implicit": Known("generated:implicit", _IMAGE, "a perceptron whose weights are computed"),
    "instances": Known("generated:instances", _IMAGE, "1x1 layers from queries, masks of objects"),
    "reassembly": Known(
        "generated:reassembly",
        {"x": (1, 8, 12, 12)},
        "upsampling by predicted kernels",
        larger={"x": (1, 8, 64, 64)},
    ),
    "burst": Known(
        "generated:burst",
        {"frames": (1, 4, 24, 24)},
        "a kernel per pixel of each of 4 pictures",
        larger={"frames": (1, 4, 128, 128)},
    ),
    "mapped": Known(
        "generated:mapped",
        {"images": (2, 3, 16, 16)},
        "filters per sample, by `vmap` and a loop",
        larger={"images": (2, 3, 128, 128)},
    ),
    "recurrent": Known(
        "generated:recurrent", {"steps": (2, 5, 8)}, "matrices from a recurrent cell"
    ),
    "tone": Known("generated:tone", _IMAGE, "a tone curve per picture", larger=_LARGE),
    "volume": Known(
        "generated:volume",
        {"video": (1, 2, 6, 8, 8), "code": (1, 4)},
        "3-D and dilated 1-D convolutions",
        larger={"video": (1, 2, 6, 32, 32)},
    ),
    "hyper_unet": Known(
        "hyperconv:hyper_unet",
        {"x": (1, 4, 64, 64)},
        "UNet of [HyperConvISP], Table 6",
        larger={"x": (1, 4, 128, 128)},
    ),
    "drop_in": Known(
        "hyperconv:drop_in",
        {"input": (1, 3, 32, 32)},
        "drop-in layer of [HyperConvISP], Table 7",
        larger={"input": (1, 3, 128, 128)},
    ),
    "low_rank": Known(
        "hyperconv:low_rank", _IMAGE, "low-rank filters of [HyperConvISP], Table 5", larger=_LARGE
    ),
    "unet": Known("ordinary:unet", _IMAGE, "UNet", larger=_LARGE),
    "deeplab": Known(
        "ordinary:deeplab",
        {"image": (1, 3, 33, 33)},
        "DeepLab, aligned corners",
        larger={"image": (1, 3, 129, 129)},
    ),
    "perceptron": Known("ordinary:perceptron", {"input": (1, 20)}, "classifier of vectors"),
    "tokens": Known(
        "ordinary:tokens", {"src": (1, 10, 16)}, "transformer layer", larger={"src": (1, 64, 16)}
    ),
    "efficientnet_cc": Known(
        "libraries:efficientnet_cc",
        {"x": (1, 3, 64, 64)},
        "timm tf_efficientnet_cc_b0_4e",
        needs="timm",
        slow=True,
        larger={"x": (1, 3, 128, 128)},
    ),
    "mobilevit": Known(
        "libraries:mobilevit",
        {"x": (1, 3, 64, 64)},
        "timm mobilevit_xxs",
        needs="timm",
        slow=True,
        larger={"x": (1, 3, 128, 128)},
    ),
    "mobilenet_v3": Known(
        "libraries:mobilenet_v3",
        {"x": (1, 3, 64, 64)},
        "torchvision mobilenet_v3_small",
        needs="torchvision",
        slow=True,
        larger={"x": (1, 3, 128, 128)},
    ),
}
