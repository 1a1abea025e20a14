"""The services `shell` (versions 1 and 2) and `exec`: commands in the sandbox.

Source: AOSP, packages/modules/adb/shell_protocol.h and daemon/shell_service.cpp.
"""

import asyncio
import contextlib
import os
import signal
import struct
from pathlib import Path

from tests.adb_bed.sandbox import Sandbox
from tests.adb_bed.transport import Stream, StreamClosed

__all__ = ["exit_byte", "run_plain", "run_version_2"]

STDIN, STDOUT, STDERR, EXIT, CLOSE_STDIN = 0, 1, 2, 3, 4
HEAD = struct.Struct("<BI")
CHUNK = 65536


def exit_byte(code: int) -> int:
    """The one byte that reports an exit code; a signal's number gets 128 added."""
    return (0x80 | -code) if code < 0 else code & 0xFF


async def run_version_2(stream: Stream, sandbox: Sandbox, command: str) -> None:
    """Run a command with separate output streams, and report its exit code.

    If the host goes away, the command's shell gets SIGHUP; what it started lives on.
    """
    process = await _start(sandbox, command, stderr=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    outputs = (_pump(process.stdout, stream, STDOUT), _pump(process.stderr, stream, STDERR))

    async def finish() -> int:
        await asyncio.gather(*outputs)
        return await process.wait()

    stdin = asyncio.create_task(_take_packets(stream, process))
    end = asyncio.create_task(finish())
    await asyncio.wait({stdin, end}, return_when=asyncio.FIRST_COMPLETED)
    if not end.done() or end.exception() is not None:
        _hang_up(process)
        end.cancel()
        await stdin
        _close_pipes(process)
        return
    with contextlib.suppress(StreamClosed):
        await stream.write(HEAD.pack(EXIT, 1) + bytes([exit_byte(end.result())]))
        await stream.close()
    await stdin


async def run_plain(stream: Stream, sandbox: Sandbox, command: str, service: str) -> None:
    """Run a command whose output and errors are one stream, without an exit code.

    If the host goes away, the command's standard input ends.
    """
    process = await _start(sandbox, command, stderr=asyncio.subprocess.STDOUT)
    assert process.stdout is not None
    stdin = asyncio.create_task(_take_bytes(stream, process))
    try:
        await _pump(process.stdout, stream, None, service)
    except StreamClosed:
        await stdin
        _close_pipes(process)
        return
    await process.wait()
    await stream.close()
    await stdin


async def _start(sandbox: Sandbox, command: str, *, stderr: int) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *sandbox.command(command),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=stderr,
        env=sandbox.environment(),
        start_new_session=True,
    )


async def _pump(
    source: asyncio.StreamReader, stream: Stream, kind: int | None, service: str = "shell"
) -> None:
    """Send what the command writes until it has closed this output."""
    while data := await source.read(CHUNK):
        stream.count(service, len(data))
        await stream.write(data if kind is None else HEAD.pack(kind, len(data)) + data)


async def _take_packets(stream: Stream, process: asyncio.subprocess.Process) -> None:
    """Pass the host's packets to the command until the host closes the stream."""
    with contextlib.suppress(StreamClosed):
        while True:
            kind, size = HEAD.unpack(await stream.read_exactly(HEAD.size))
            data = await stream.read_exactly(size)
            if kind == STDIN:
                await _feed(process, data)
            elif kind == CLOSE_STDIN and process.stdin is not None:
                process.stdin.close()


async def _take_bytes(stream: Stream, process: asyncio.subprocess.Process) -> None:
    while data := await stream.read():
        await _feed(process, data)
    if process.stdin is not None:
        process.stdin.close()


async def _feed(process: asyncio.subprocess.Process, data: bytes) -> None:
    assert process.stdin is not None
    if process.stdin.is_closing():
        return
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it reads no more
        process.stdin.write(data)
        await process.stdin.drain()


def _hang_up(process: asyncio.subprocess.Process) -> None:
    """Send SIGHUP to the command's shell, the child of the process that entered the sandbox."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    with contextlib.suppress(OSError):
        for pid in children.read_text().split():
            os.kill(int(pid), signal.SIGHUP)


def _close_pipes(process: asyncio.subprocess.Process) -> None:
    """Close this side of the pipes.

    The process that entered the sandbox must remain until its child ends: the child of a dead one
    belongs to the first process of this machine, which may be slow to collect it, and until then
    the sandbox cannot end.
    """
    for number in (0, 1, 2):
        pipe = process._transport.get_pipe_transport(number)  # type: ignore[attr-defined]
        if pipe is not None:
            pipe.close()
