"""Base of the schemas of records, and the types that they share."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["Milliseconds", "Schema"]

Milliseconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Schema(BaseModel):
    """Base class of the schemas: immutable, without unknown fields, infinities and NaN."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
