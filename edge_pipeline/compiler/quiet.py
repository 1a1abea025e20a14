"""Context managers that silence the output of libraries."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator

__all__ = ["muted", "quiet", "untraced_errors"]


@contextlib.contextmanager
def muted() -> Iterator[None]:
    """Discard warnings and text written to Python's standard streams."""
    with (
        warnings.catch_warnings(),
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        warnings.simplefilter("ignore")
        yield


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Discard warnings, text on the standard streams, and log messages up to level WARNING."""
    previous = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with muted():
            yield
    finally:
        logging.disable(previous)


@contextlib.contextmanager
def untraced_errors() -> Iterator[None]:
    """Keep torch from logging the traceback of an error of tracing, which is raised as well."""
    logger = logging.getLogger("torch._subclasses.fake_tensor")
    previous, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = previous
