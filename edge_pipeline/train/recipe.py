"""The schema of recipes: YAML files that state a training's network, data, loss and optimiser."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from edge_pipeline.errors import InputError, first_fault
from edge_pipeline.models.base import options_of
from edge_pipeline.optional import require

__all__ = ["DataPart", "LossWeights", "Optimiser", "Recipe", "load_recipe", "recipe_names"]

# Channels of synthesised captures (packed Bayer) and of their RGB targets.
_CHANNELS = {"in_channels": 4, "out_channels": 3}
# Smallest crop, in packed pixels, for five scales of windows of 11 output pixels.
_LEAST_FOR_MS_SSIM = 88
_RECIPES = Path(__file__).parent / "recipes"


Decay = Annotated[float, Field(ge=0, lt=1)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class DataPart(_Section):
    """One data set and its share of the crops."""

    dataset: str
    share: float = Field(default=1.0, gt=0)
    options: dict[str, Any] = {}


class LossWeights(_Section):
    """Weights of the loss terms; the defaults are the paper's MSE + (1 - MS-SSIM).

    Attributes:
        mse: Weight of the mean square error in encoded sRGB.
        ms_ssim: Weight of 1 - MS-SSIM in encoded sRGB.
        log_mse: Weight of the logarithm of the mean square error in encoded sRGB.
        log_coded: Weight of the logarithm of the error's energy in the networks' coding.
        alternation: Weight of second differences within that energy.
        phase_mean: Weight of local means by phase of the mosaic within that energy.
        border: Packed pixels along the crop's border that the loss ignores.
    """

    mse: float = Field(default=1.0, ge=0)
    ms_ssim: float = Field(default=1.0, ge=0)
    log_mse: float = Field(default=0.0, ge=0)
    log_coded: float = Field(default=0.0, ge=0)
    alternation: float = Field(default=0.0, ge=0)
    phase_mean: float = Field(default=0.0, ge=0)
    border: int = Field(default=0, ge=0, le=16)


class Optimiser(_Section):
    """Settings of Adam; the defaults are the bold values of [HyperConvISP], Table 3.

    Attributes:
        learning_rate: Learning rate before its decay.
        betas: Adam's coefficients of its running averages.
        batch: Samples per step.
        steps: Total number of steps.
        decay_from: Fraction of the steps after which the learning rate decays to zero along a
            cosine; 1 keeps it constant.
        average: Decay of the running average of the weights, which is saved; 0 saves the last
            weights.
        clip: Maximum norm of the gradient; 0 for no limit.
        precision: `32-true`, or `bf16-mixed` for convolutions in bfloat16, which are several times
            faster on processors with matrix units for bfloat16.
    """

    learning_rate: float = Field(default=5e-6, gt=0, allow_inf_nan=False)
    betas: tuple[Decay, Decay] = (0.7, 0.95)
    batch: int = Field(default=8, ge=1)
    steps: int = Field(default=180_000, ge=1)
    decay_from: float = Field(default=1.0, ge=0, le=1)
    average: float = Field(default=0.0, ge=0, lt=1)
    clip: float = Field(default=0.0, ge=0)
    precision: Literal["32-true", "bf16-mixed"] = "32-true"


class Recipe(_Section):
    """The recipe of one training.

    Attributes:
        name: Name of the recipe and of the run's folder.
        model: Name of a registered network.
        options: Options of the network.
        data: Training data sets.
        validation: Data set of validation pictures, which are not used for training.
        crop: Side of a crop in packed pixels; at least 88 plus twice the border if the loss
            includes MS-SSIM.
        shared_filters: Whether the crops of a batch, which belong to one capture, share filters
            predicted from all crops side by side, like the tiles of a developed capture.
        loss: Weights of the loss terms.
        optimiser: Settings of Adam.
        seed: Seed of weights, crops and noise.
        description: Description for the model card.
        licence: Licence of the weights.
    """

    name: str
    model: str = "hyperconv_unet"
    options: dict[str, Any] = {}
    data: tuple[DataPart, ...] = Field(min_length=1)
    validation: DataPart
    crop: int = Field(default=96, ge=32)
    shared_filters: bool = False
    loss: LossWeights = LossWeights()
    optimiser: Optimiser = Optimiser()
    seed: int = Field(default=0, ge=0, lt=2**63)
    description: str = ""
    licence: str = "Apache-2.0"

    @model_validator(mode="after")
    def _large_enough(self) -> Self:
        least = _LEAST_FOR_MS_SSIM + 2 * self.loss.border
        if self.loss.ms_ssim and self.crop < least:
            raise ValueError(f"crop is {self.crop}; MS-SSIM in the loss requires at least {least}")
        return self

    @field_validator("crop")
    @classmethod
    def _multiple_of_16(cls, value: int) -> int:
        if value % 16:
            raise ValueError(f"{value} must be a multiple of 16, the network's stride")
        return value


def recipe_names() -> list[str]:
    """Return the names of the recipes in the package."""
    return sorted(path.stem for path in _RECIPES.glob("*.yaml"))


def load_recipe(name_or_path: str) -> Recipe:
    """Read a recipe.

    Args:
        name_or_path: Name of a recipe in the package, or path of a YAML file.

    Raises:
        InputError: If there is no such recipe, or if a field, which the message names, is invalid.
    """
    yaml = require("yaml", "train", "training")
    path = Path(name_or_path)
    if name_or_path in recipe_names():
        path = _RECIPES / f"{name_or_path}.yaml"
    if not path.is_file():
        raise InputError(
            f"no recipe {name_or_path!r}; give a YAML file or one of {', '.join(recipe_names())}"
        )
    try:
        recipe = Recipe.model_validate(yaml.safe_load(path.read_text()))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    except ValidationError as error:
        raise InputError(f"{path}: {': '.join(first_fault(error, 'the recipe'))}") from error
    options = options_of(recipe.model, recipe.options)
    for name, channels in _CHANNELS.items():
        if options.get(name, channels) != channels:
            raise InputError(
                f"{path}: options.{name}: {options[name]} does not fit the synthesised captures; "
                f"it must be {channels}"
            )
    return recipe
