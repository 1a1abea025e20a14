"""The service `sync`: files and folders to and from the sandbox.

Source: AOSP, packages/modules/adb/file_sync_protocol.h and daemon/file_sync_service.cpp.
"""

import os
import stat
import struct
from collections.abc import Awaitable, Callable
from pathlib import Path

from tests.adb_bed.sandbox import Sandbox
from tests.adb_bed.sync_records import directory_entry, stat_reply, stat_reply_2
from tests.adb_bed.transport import Stream, StreamClosed

__all__ = ["MAX_CHUNK", "serve_sync"]

REQUEST = struct.Struct("<4sI")
MAX_CHUNK = 65536
MAX_PATH = 1024


class _Failed(Exception):  # noqa: N818 - the host is told, nothing else
    """The request failed; its text goes to the host."""


async def serve_sync(stream: Stream, sandbox: Sandbox) -> None:
    """Answer requests until the host quits or closes the stream."""
    await _Session(stream, sandbox).run()


class _Session:
    def __init__(self, stream: Stream, sandbox: Sandbox) -> None:
        self.stream, self.sandbox = stream, sandbox
        self.faults = stream.connection.faults
        self.requests: dict[bytes, Callable[[str], Awaitable[None]]] = {
            b"STAT": self._stat_1,
            b"STA2": lambda path: self._stat_2(b"STA2", path, follow=True),
            b"LST2": lambda path: self._stat_2(b"LST2", path, follow=False),
            b"LIST": lambda path: self._list(b"DENT", path),
            b"LIS2": lambda path: self._list(b"DNT2", path),
            b"SEND": self._send,
            b"RECV": self._receive,
        }

    async def run(self) -> None:
        while True:
            name, size = REQUEST.unpack(await self.stream.read_exactly(REQUEST.size))
            if name == b"QUIT":
                break
            try:
                await self._answer(name, size)
            except _Failed as error:
                await self._fail(str(error))
                if name == b"SEND":
                    await self._skip_data()
                break
        await self.stream.close()

    async def _answer(self, name: bytes, size: int) -> None:
        if size > MAX_PATH:
            raise _Failed("path too long")
        path = os.fsdecode(await self.stream.read_exactly(size))
        if name not in self.requests:
            raise _Failed(f"unknown command {name!r}")
        await self.requests[name](path)

    async def _fail(self, text: str) -> None:
        data = os.fsencode(text)
        await self.stream.write(REQUEST.pack(b"FAIL", len(data)) + data)

    def _on_host(self, path: str, *, follow: bool = True) -> Path:
        return self.sandbox.on_host(path, follow=follow)

    async def _stat_1(self, path: str) -> None:
        try:
            found = self._on_host(path, follow=False).lstat()
        except OSError:
            found = None
        await self.stream.write(stat_reply(found))

    async def _stat_2(self, name: bytes, path: str, *, follow: bool) -> None:
        try:
            found, code = self._on_host(path, follow=follow).lstat(), 0
        except OSError as error:
            found, code = None, error.errno or 0
        await self.stream.write(stat_reply_2(name, found, code))

    async def _list(self, name: bytes, path: str) -> None:
        try:
            entries = sorted(os.scandir(self._on_host(path)), key=lambda entry: entry.name)
        except OSError:
            entries = []  # as the real device answers
        for entry in entries:
            found = entry.stat(follow_symlinks=False)
            await self.stream.write(directory_entry(name, found, os.fsencode(entry.name)))
        await self.stream.write(directory_entry(name, None, b""))

    async def _receive(self, path: str) -> None:
        self.stream.count("pull", 0)
        is_changed = self.faults.corrupts("pull", path)
        try:
            with self._on_host(path).open("rb") as file:
                while data := file.read(MAX_CHUNK):
                    self.stream.count("pull", len(data))
                    await self.stream.write(
                        REQUEST.pack(b"DATA", len(data)) + (_changed(data) if is_changed else data)
                    )
        except OSError as error:
            raise _Failed(f"open failed: {_text(error)}") from None
        await self.stream.write(REQUEST.pack(b"DONE", 0))

    async def _send(self, spec: str) -> None:
        path, _, digits = spec.rpartition(",")
        if not path or not digits.isdecimal():
            raise _Failed("missing , in ID_SEND")
        mode = int(digits)
        try:
            await self._write_file(path, mode)
        except OSError as error:
            raise _Failed(f"{error.args[-1]}: {_text(error)}") from None
        await self.stream.write(REQUEST.pack(b"OKAY", 0))

    async def _write_file(self, path: str, mode: int) -> None:
        """Take a file's data; nothing remains of a file that did not arrive completely."""
        self.stream.count("push", 0)
        is_changed = self.faults.corrupts("push", path)
        parts: list[bytes] = []
        with _step("secure_mkdirs failed"):
            target = self.sandbox.on_host(path, follow=False)
            target.parent.mkdir(parents=True, exist_ok=True)
            if target.is_symlink() or target.is_file():
                target.unlink()
        if stat.S_ISLNK(mode):
            while (data := await self._next_data()) is not None:
                parts.append(data)
            with _step("symlink failed"):
                target.symlink_to(os.fsdecode(b"".join(parts).rstrip(b"\0")))
            return
        with _step("couldn't create file"):
            file = target.open("xb", buffering=0)
        try:
            with file:
                while (data := await self._next_data()) is not None:
                    with _step("write failed"):
                        _write_all(file.fileno(), _changed(data) if is_changed else data)
                user = mode >> 6 & 7
                os.fchmod(file.fileno(), mode & 0o777 | user << 3 | user)
        except BaseException:
            target.unlink(missing_ok=True)
            raise
        os.utime(target, (self.modified_s, self.modified_s))

    async def _next_data(self) -> bytes | None:
        """The next packet of a file's data, or none after the last."""
        name, size = REQUEST.unpack(await self.stream.read_exactly(REQUEST.size))
        if name == b"DONE":
            self.modified_s = size
            return None
        if name != b"DATA" or size > MAX_CHUNK:
            raise StreamClosed
        data = await self.stream.read_exactly(size)
        self.stream.count("push", size)
        return data

    async def _skip_data(self) -> None:
        """Drop what the host sends until it has noticed the failure."""
        while await self._next_data() is not None:
            pass


class _step:  # noqa: N801 - used as a statement
    """Names the step of a push that failed, as the device does."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, OSError):
            error.args = (*error.args, self.name)


def _write_all(descriptor: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(descriptor, left) :]


def _changed(data: bytes) -> bytes:
    return bytes([data[0] ^ 0xFF]) + data[1:]


def _text(error: OSError) -> str:
    return os.strerror(error.errno) if error.errno else "Unknown error"
