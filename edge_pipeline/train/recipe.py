"""Recipes: what is trained, on what, how. YAML files with this schema."""

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

from edge_pipeline.errors import InputError
from edge_pipeline.models.base import options_of
from edge_pipeline.optional import require

__all__ = ["DataPart", "LossWeights", "Optimiser", "Recipe", "load_recipe", "recipe_names"]

# What raw_synthesis makes: packed Bayer, and the RGB picture that it was made of.
_CHANNELS = {"in_channels": 4, "out_channels": 3}
# Five scales of windows of 11 pixels.
_LEAST_FOR_MS_SSIM = 88
_RECIPES = Path(__file__).parent / "recipes"


Decay = Annotated[float, Field(ge=0, lt=1)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class DataPart(_Section):
    """One data set and the share of crops that it gives."""

    dataset: str
    share: float = Field(default=1.0, gt=0)
    options: dict[str, Any] = {}


class LossWeights(_Section):
    """Weights of the loss terms; the defaults are the paper's MSE + (1 - MS-SSIM).

    Attributes:
        mse: mean square error in encoded sRGB.
        ms_ssim: 1 - MS-SSIM in encoded sRGB.
        log_mse: logarithm of the mean square error in encoded sRGB.
        log_coded: logarithm of the error's energy in the networks' coding.
        alternation: share of second differences in that energy.
        phase_mean: share of local means by phase of the mosaic in that energy.
        border: packed pixels along the crop's border that are not judged.
    """

    mse: float = Field(default=1.0, ge=0)
    ms_ssim: float = Field(default=1.0, ge=0)
    log_mse: float = Field(default=0.0, ge=0)
    log_coded: float = Field(default=0.0, ge=0)
    alternation: float = Field(default=0.0, ge=0)
    phase_mean: float = Field(default=0.0, ge=0)
    border: int = Field(default=0, ge=0, le=16)


class Optimiser(_Section):
    """Adam; the defaults are the bold values of papers/002, Table 3.

    Attributes:
        learning_rate: constant at first.
        betas: of Adam.
        batch: samples a step.
        steps: in all.
        decay_from: share of the steps after which the rate falls to nothing along a cosine; 1
            keeps it constant.
        average: decay of the running average of the weights that is saved; 0 saves the last ones.
        clip: largest norm of the gradient; 0 for no limit.
        precision: `bf16-mixed` computes convolutions in bfloat16, which is several times faster
            on processors with matrix units for it.
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
    """One training.

    Attributes:
        name: of the recipe and of the run's folder.
        model: a registered network.
        options: of the network.
        data: training data sets.
        validation: pictures that are not trained on.
        crop: side of a crop in packed pixels; at least 88 if the loss has MS-SSIM.
        shared_filters: whether the crops of a batch, which belong to one capture, share filters
            predicted from the crops side by side, as the tiles of a developed capture do.
        loss: weights.
        optimiser: Adam's settings.
        seed: of weights, crops and noise.
        description: for the model card.
        licence: of the weights.
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
            raise ValueError(f"crop is {self.crop}; with MS-SSIM in the loss at least {least}")
        return self

    @field_validator("crop")
    @classmethod
    def _multiple_of_16(cls, value: int) -> int:
        if value % 16:
            raise ValueError(f"{value} must be a multiple of 16, the network's stride")
        return value


def recipe_names() -> list[str]:
    """The recipes that come with the package."""
    return sorted(path.stem for path in _RECIPES.glob("*.yaml"))


def load_recipe(name_or_path: str) -> Recipe:
    """Read a recipe: one that comes with the package, or a YAML file.

    Raises:
        InputError: no such recipe, or one that the schema refuses; the message names the field.
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
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        words = first["msg"].removeprefix("Value error, ")
        raise InputError(f"{path}: {where or 'the recipe'}: {words}") from error
    options = options_of(recipe.model, recipe.options)
    for name, channels in _CHANNELS.items():
        if options.get(name, channels) != channels:
            raise InputError(
                f"{path}: options.{name}: {options[name]} does not fit the captures that are "
                f"synthesised; {channels} does"
            )
    return recipe
