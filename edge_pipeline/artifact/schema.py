"""What all parts of the manifest's schema have in common."""

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
    """`name` if it is a plain relative path that stays inside its folder.

    Parts are of letters, digits, `_ . + -`, do not start with a dot or a dash, and are set apart
    by single forward slashes. The names of the manifest and its seal are taken.

    Raises:
        ValueError: it is not.
    """
    if not all(_NAME.fullmatch(part) for part in name.split("/")):
        raise ValueError(f"the file name {name!r} is not a plain path inside the artifact")
    if PurePosixPath(name).parts[0] in (MANIFEST_FILE, SEAL_FILE):
        raise ValueError(f"the file name {name!r} is taken by the manifest")
    return name


FileName = Annotated[str, AfterValidator(check_file_name)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Precision = Literal["fp32", "fp16", "int8"]
# An option of a network, or the value of a fixed input.
Value = str | int | float | bool
# What a tensor's values are: `packed_bayer_white_balanced` is normalised packed Bayer, about
# [0, 1]; `camera_linear` white-balanced linear camera RGB, about [0, 1]; `srgb` encoded sRGB in
# [0, 1]; `logits` a score a class before softmax or sigmoid; `features` what another network gave.
Space = Literal["packed_bayer_white_balanced", "camera_linear", "srgb", "logits", "features"]


class Schema(BaseModel):
    """Frozen, and an unknown key is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
