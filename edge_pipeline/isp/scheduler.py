"""The connection to a Dask scheduler, and the file that shows workers that they share a folder."""

from __future__ import annotations

import asyncio
import logging
import os
import queue
import re
import secrets
import threading
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from edge_pipeline.errors import InputError, JobError
from edge_pipeline.fault_log import keep_details
from edge_pipeline.files import atomic_file
from edge_pipeline.isp.folder import Job
from edge_pipeline.optional import require

__all__ = [
    "EXTRA",
    "absolute",
    "check_address",
    "check_workers",
    "connected",
    "dask",
    "shared_token",
]

# The extra of this package that installs Dask.
EXTRA = "distributed"

_ADDRESS = re.compile(r"(?:tcp|tls)://(?:\[[0-9A-Fa-f:.]+\]|[^\s/:\[\]]+):(?P<port>[0-9]{1,5})")

_CONNECT_S = 5.0  # time for the connection to the scheduler


def dask() -> Any:
    """Import and return the package `distributed`.

    Raises:
        MissingExtraError: If it is not installed.
    """
    return require("distributed", EXTRA, "developing on several machines")


def check_address(address: str) -> None:
    """Raise an error if `address` is not that of a scheduler.

    Raises:
        InputError: If the address is not `tcp://HOST:PORT` or `tls://HOST:PORT`.
    """
    match = _ADDRESS.fullmatch(address)
    if match is None or not 1 <= int(match["port"]) <= 65535:
        raise InputError(
            f"the scheduler's address is {address!r}; give tcp://HOST:PORT or tls://HOST:PORT"
        )


@contextmanager
def connected(address: str) -> Iterator[Any]:
    """Yield a client of the scheduler.

    Dask's log is silent meanwhile: it has tracebacks for events that are reported as sentences.

    Raises:
        JobError: If the scheduler does not answer.
        MissingExtraError: If Dask is not installed.
    """
    client_class = dask().Client
    level = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        try:
            # First, because a client that cannot connect waits longer, and prints a traceback.
            asyncio.run(asyncio.wait_for(_answer(address), _CONNECT_S))
            client = client_class(
                address, timeout=_CONNECT_S, set_as_default=False, direct_to_workers=False
            )
        except Exception as error:
            keep_details("".join(traceback.format_exception(error)))
            tls = ", and Dask's configuration of TLS" if address.startswith("tls:") else ""
            raise JobError(
                f"no Dask scheduler answers at {address} within {_CONNECT_S:g} s; check the "
                f"address, and that the scheduler runs{tls}"
            ) from error
        try:
            yield client
        finally:
            with suppress(Exception):
                client.close(timeout=2)
    finally:
        logging.disable(level)


async def _answer(address: str) -> None:
    """Wait until the scheduler at an address answers a question."""
    distributed = dask()
    arguments = distributed.Security().get_connection_args("client")
    async with distributed.rpc(address, connection_args=arguments) as scheduler:
        await scheduler.identity()


def check_workers(client: Any, address: str) -> None:
    """Raise an error if a worker lacks this package; Dask would end it when it receives a task.

    A worker that does not answer in time is not checked.

    Args:
        client: Client from `connected`.
        address: Address of the scheduler, for the message.

    Raises:
        InputError: If a worker lacks this package.
    """
    answers: queue.SimpleQueue[dict[str, object]] = queue.SimpleQueue()

    def ask() -> None:
        with suppress(Exception):  # if the connection is lost, submitting reports it
            answers.put(client.run(find_spec, "edge_pipeline", on_error="return"))

    threading.Thread(target=ask, daemon=True).start()
    with suppress(queue.Empty):
        for worker, spec in answers.get(timeout=_CONNECT_S).items():
            if not isinstance(spec, ModuleSpec):
                raise InputError(
                    f"worker {worker} of the scheduler at {address} has no edge-pipeline; install "
                    f"the same version with the extra {EXTRA} on all machines"
                )


@contextmanager
def shared_token(jobs: Sequence[Job]) -> Iterator[Path]:
    """Yield a new file in the pictures' folder, which shows workers that they share the folder.

    It is removed at the end, which shows workers that they should stop.

    Raises:
        JobError: If the disk is full or fails.
        OutputError: If the folder cannot be written.
    """
    folder = Path(os.path.commonpath([absolute(job.picture).parent for job in jobs]))
    created = not os.path.exists(folder)  # noqa: PTH110 - Path.exists raises if it is refused
    token = folder / f".edge-pipeline-batch-{secrets.token_hex(8)}"
    try:
        with atomic_file(token) as file:
            file.write_text("A batch of `edge-pipeline develop --scheduler` runs.\n")
        yield token
    finally:
        with suppress(OSError):
            token.unlink(missing_ok=True)
            if created:
                folder.rmdir()  # refused if there is a picture


def absolute(path: Path) -> Path:
    """Return the absolute path; links are not followed."""
    return Path(os.path.abspath(path))  # noqa: PTH100 - resolve() would follow links
