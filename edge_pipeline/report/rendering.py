"""HTML pages from the templates of this package."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

__all__ = ["rendered"]


def rendered(template: str, filters: dict[str, Callable[..., str]], **content: Any) -> str:
    """Return a page as HTML text; text in its content cannot become markup.

    Args:
        template: Name of the template's file.
        filters: Filters that the template uses, by name.
        content: Values that the template uses, by name.
    """
    environment = Environment(
        loader=PackageLoader("edge_pipeline.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= filters
    return environment.get_template(template).render(**content)
