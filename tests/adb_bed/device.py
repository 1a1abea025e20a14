"""The device end of the protocol: it listens on loopback and serves hosts in a thread of its own.

Source: AOSP, packages/modules/adb/protocol.txt and SERVICES.TXT.
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine
from typing import TypeVar

from tests.adb_bed.faults import Faults
from tests.adb_bed.sandbox import Sandbox
from tests.adb_bed.shell import run_plain, run_version_2
from tests.adb_bed.sync import serve_sync
from tests.adb_bed.transport import Connection, Stream

__all__ = ["FEATURES", "FIRST_PORT", "Device"]

FEATURES = ("shell_v2", "cmd", "stat_v2", "ls_v2", "fixed_push_mkdir")
FIRST_PORT, LAST_PORT = 5600, 5999  # adb's server looks for emulators up to 5585
LIMIT_S = 20
Result = TypeVar("Result")


class Device:
    """A listening device; `port` is the same for its whole life."""

    def __init__(self, sandbox: Sandbox, faults: Faults, properties: Callable[[str], str]) -> None:
        """Start to listen on the first free port from `FIRST_PORT` up.

        Args:
            sandbox: Where commands run, and where files are.
            faults: What goes wrong.
            properties: The value of a property such as ro.product.model.
        """
        self.port = 0
        self._sandbox, self._faults, self._properties = sandbox, faults, properties
        self._connections: set[Connection] = set()
        self._server: asyncio.Server | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="adb bed", daemon=True)
        self._thread.start()
        self.plug()

    def plug(self) -> None:
        """Listen, if the device does not."""
        self._call(self._listen())

    def unplug(self) -> None:
        """Cut every connection and stop listening."""
        self._call(self._cut(stop=True))

    def drop_links(self) -> None:
        """Cut every connection, and go on listening."""
        self._call(self._cut(stop=False))

    def authorize(self) -> None:
        """Accept the key of the hosts that wait, as if a person had tapped "Allow"."""
        self._faults.is_authorized = True
        self._call(self._greet_all())

    def close(self) -> None:
        """Cut every connection, stop listening and end the thread."""
        self._call(self._cut(stop=True))
        self._call(self._end_tasks())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(LIMIT_S)
        self._loop.close()

    def _call(self, work: Coroutine[object, object, Result]) -> Result:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(LIMIT_S)

    async def _listen(self) -> None:
        if self._server is not None:
            return
        for port in [self.port] if self.port else range(FIRST_PORT, LAST_PORT + 1):
            with contextlib.suppress(OSError):
                self._server = await asyncio.start_server(self._serve_host, "127.0.0.1", port)
                self.port = port
                return
        raise OSError(f"no port from {FIRST_PORT} to {LAST_PORT} is free")

    async def _cut(self, *, stop: bool) -> None:
        if stop:
            self._stop_listening()
        for connection in list(self._connections):
            connection.abort()

    def _stop_listening(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.close()

    async def _greet_all(self) -> None:
        for connection in list(self._connections):
            await connection.greet()

    async def _end_tasks(self) -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _banner(self) -> bytes:
        """The device's features; without a final NUL, which would become part of the last one."""
        names = ("ro.product.name", "ro.product.model", "ro.product.device")
        values = ";".join(f"{name}={self._properties(name)}" for name in names)
        return f"device::{values};features={','.join(FEATURES)}".encode()

    async def _serve_host(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = Connection(
            reader, writer, self._faults, self._banner, self._serve, self._stop_listening
        )
        self._connections.add(connection)
        try:
            await connection.run()
        finally:
            self._connections.discard(connection)

    async def _serve(self, stream: Stream, service: str) -> None:
        name, _, rest = service.partition(":")
        kind, *options = name.split(",")
        if kind not in ("shell", "exec", "sync"):
            await stream.refuse()
            return
        await stream.accept()
        if kind == "sync":
            await serve_sync(stream, self._sandbox)
            return
        command = rest or "exec sh"
        stream.count(kind, 0)
        if kind == "shell" and "v2" in options:
            await run_version_2(stream, self._sandbox, command)
        else:
            await run_plain(stream, self._sandbox, command, kind)
