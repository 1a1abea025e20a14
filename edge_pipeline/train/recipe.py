"""The schema of recipes: YAML files that state a training's network, task and optimiser."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edge_pipeline.errors import InputError, first_fault
from edge_pipeline.models.base import options_of
from edge_pipeline.optional import require
from edge_pipeline.train.task import task_module

__all__ = ["Optimiser", "Recipe", "Section", "load_recipe", "recipe_names", "settings_of"]

_RECIPES = Path(__file__).parent / "recipes"

Decay = Annotated[float, Field(ge=0, lt=1)]


class Section(BaseModel):
    """Base class of a part of a recipe; instances are frozen, and unknown fields are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Optimiser(Section):
    """Settings of Adam; the defaults are the bold values of [HyperConvISP], Table 3.

    Attributes:
        learning_rate: Learning rate before its decay.
        betas: Adam's coefficients of its running averages.
        batch: Samples per step, of all processes together.
        steps: Total number of steps.
        decay_from: Fraction of the steps after which the learning rate decays to zero along a
            cosine; 1 keeps it constant.
        average: Decay of the running average of the weights, which is saved; 0 saves the last
            weights.
        clip: Maximum norm of the gradient; 0 for no limit.
        patience: Number of validations without a better score after which the training stops; the
            checkpoint then has the weights of the best score. 0 trains for all steps and keeps the
            last weights.
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
    patience: int = Field(default=0, ge=0)
    precision: Literal["32-true", "bf16-mixed"] = "32-true"


class Recipe(Section):
    """The recipe of one training.

    Attributes:
        name: Name of the recipe and of the run's folder.
        task: Name of a registered task, the kind of work.
        model: Name of a registered network.
        options: Options of the network.
        rescale: Whether fresh weights are rescaled so that the output depends on the input, see
            `models.network.Rescalable`; False keeps the published initialisation.
        settings: Fields of the `Settings` of the task's module, such as its data and its loss.
        optimiser: Settings of Adam.
        seed: Seed of weights and samples.
        description: Description for the model card.
        licence: Licence of the weights.
    """

    name: str
    task: str
    model: str
    options: dict[str, Any] = {}
    rescale: bool = False
    settings: dict[str, Any] = {}
    optimiser: Optimiser = Optimiser()
    seed: int = Field(default=0, ge=0, lt=2**63)
    description: str = ""
    licence: str = "Apache-2.0"


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
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not text in UTF-8; a recipe is a YAML file") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" from line {mark.line + 1}" if mark else ""
        raise InputError(f"{path} is not YAML{where}; correct its syntax") from error
    except ValidationError as error:
        raise InputError(f"{path}: {': '.join(first_fault(error, 'the recipe'))}") from error
    try:
        settings_of(recipe)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    return recipe


def settings_of(recipe: Recipe) -> Any:
    """Return the checked settings of a recipe, the `Settings` of its task's module.

    Raises:
        UnknownNameError: If no task or network has the recipe's name for it.
        InputError: If an option or a setting, which the message names, is invalid.
    """
    module = task_module(recipe.task)
    options = options_of(recipe.model, recipe.options)
    try:
        settings = module.Settings.model_validate(recipe.settings)
    except ValidationError as error:
        raise InputError(f"settings.{': '.join(first_fault(error, 'the settings'))}") from error
    module.check(recipe, settings, options)
    return settings
