"""Base class and field types that all parts of the manifest's schema share."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from edge_pipeline.files import MANIFEST_FILE, SEAL_FILE

__all__ = [
    "MANIFEST_FILE",
    "SEAL_FILE",
    "FileName",
    "Precision",
    "Schema",
    "Sha256",
    "Space",
    "Value",
    "check_file_name",
]

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*")


def check_file_name(name: str) -> str:
    """Return `name` if it is a plain relative path that stays inside its folder.

    The parts of the path consist of letters, digits and `_ . + -`, start with a letter, a digit or
    `_`, and are separated by single forward slashes. The names of the manifest and its seal are
    reserved.

    Raises:
        ValueError: If `name` is not such a path.
    """
    if not all(_NAME.fullmatch(part) for part in name.split("/")):
        raise ValueError(f"the file name {name!r} is not a plain path inside the artifact")
    if PurePosixPath(name).parts[0] in (MANIFEST_FILE, SEAL_FILE):
        raise ValueError(f"the file name {name!r} is reserved for the manifest")
    return name


FileName = Annotated[str, AfterValidator(check_file_name)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Precision = Literal["fp32", "fp16", "int8"]
# An option of a network, or the value of a fixed input.
Value = str | int | float | bool
# Meaning of a tensor's values: `packed_bayer_white_balanced` is normalised packed Bayer, about
# [0, 1]; `camera_linear` is white-balanced linear camera RGB, about [0, 1]; `srgb` is encoded sRGB
# in [0, 1]; `logits` is one score per class before softmax or sigmoid; `features` is the output of
# another network.
Space = Literal["packed_bayer_white_balanced", "camera_linear", "srgb", "logits", "features"]


class Schema(BaseModel):
    """Base class of the schema: instances are frozen, and unknown keys are rejected."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
