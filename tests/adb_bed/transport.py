"""One connection of a host: its packets, and the streams that it opens.

Source: AOSP, packages/modules/adb/protocol.txt.
"""

import asyncio
import contextlib
import os
from collections.abc import Awaitable, Callable

from tests.adb_bed.faults import Faults
from tests.adb_bed.packets import (
    AUTH,
    CLSE,
    CNXN,
    MAX_DATA,
    OKAY,
    OPEN,
    VERSION,
    WRTE,
    Packet,
    parse,
)

__all__ = ["Connection", "Stream", "StreamClosed"]

TOKEN, SIGNATURE = 1, 2
HEADER_BYTES = 24


class StreamClosed(Exception):  # noqa: N818 - it ends a service, and is no error
    """The host has closed the stream, or the connection is lost."""


class Stream:
    """A stream of bytes that the host opened, with one unanswered packet in each direction."""

    def __init__(self, connection: "Connection", own: int, peer: int) -> None:
        self.connection = connection
        self.own = own
        self.peer = peer
        self._buffer = bytearray()
        self._unanswered = 0
        self._changed = asyncio.Condition()
        self._may_write = True
        self._is_closed = False

    async def accept(self) -> None:
        """Tell the host that the service runs."""
        await self.connection.send(Packet(OKAY, self.own, self.peer))

    async def refuse(self) -> None:
        """Tell the host that there is no such service."""
        self.connection.streams.pop(self.own, None)
        await self.connection.send(Packet(CLSE, 0, self.peer))

    async def read(self) -> bytes:
        """The bytes that have arrived, or none after the end."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._buffer or self._is_closed)
            data = bytes(self._buffer)
            self._buffer.clear()
            unanswered, self._unanswered = self._unanswered, 0
        if not self._is_closed:
            for _ in range(unanswered):
                await self.connection.send(Packet(OKAY, self.own, self.peer))
        return data

    async def read_exactly(self, size: int) -> bytes:
        """This many bytes.

        Raises:
            StreamClosed: The stream ended before.
        """
        parts = bytearray()
        while len(parts) < size:
            data = await self.read()
            if not data:
                raise StreamClosed
            parts += data
        self._buffer[:0] = parts[size:]
        return bytes(parts[:size])

    async def write(self, data: bytes) -> None:
        """Send bytes, and wait until the host has consumed the previous ones.

        Raises:
            StreamClosed: The host does not listen any more.
        """
        size = min(MAX_DATA, self.connection.peer_max_data)
        for start in range(0, len(data), size):
            async with self._changed:
                await self._changed.wait_for(lambda: self._may_write or self._is_closed)
                if self._is_closed:
                    raise StreamClosed
                self._may_write = False
            await self.connection.send(
                Packet(WRTE, self.own, self.peer, data[start : start + size])
            )

    async def close(self) -> None:
        """End the stream from this side; whatever the host still sends is ignored."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._may_write or self._is_closed)
            was_closed, self._is_closed = self._is_closed, True
            self._changed.notify_all()
        self.connection.streams.pop(self.own, None)
        if not was_closed:
            await self.connection.send(Packet(CLSE, self.own, self.peer))

    def count(self, service: str, size: int) -> None:
        """Note that a service carries bytes of a file or of output.

        Raises:
            StreamClosed: The test has the link cut now, and it is.
        """
        drop = self.connection.faults.cuts(service, size)
        if drop:
            self.connection.abort()
            if drop.gone:
                self.connection.unplug()
            raise StreamClosed

    async def arrived(self, data: bytes) -> None:
        """Take a packet's data from the connection."""
        async with self._changed:
            self._buffer += data
            self._unanswered += 1
            self._changed.notify_all()

    async def answered(self) -> None:
        """The host has consumed the last packet."""
        async with self._changed:
            self._may_write = True
            self._changed.notify_all()

    async def ended(self) -> None:
        """The host has closed the stream, or is gone."""
        async with self._changed:
            self._is_closed = True
            self._changed.notify_all()


class Connection:
    """The packets of one host, from its greeting to the end of the link."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        faults: Faults,
        banner: Callable[[], bytes],
        serve: Callable[[Stream, str], Awaitable[None]],
        unplug: Callable[[], None],
    ) -> None:
        self.streams: dict[int, Stream] = {}
        self.peer_max_data = MAX_DATA
        self.faults = faults
        self.unplug = unplug
        self._reader, self._writer = reader, writer
        self._banner, self._serve = banner, serve
        self._tasks: set[asyncio.Task[None]] = set()
        self._next = 1
        self._was_greeted = False

    async def run(self) -> None:
        """Answer packets until the link ends, then end all streams."""
        try:
            while True:
                packet = parse(await self._reader.readexactly(HEADER_BYTES))
                data = await self._reader.readexactly(packet.size)
                await self._handle(packet, data)
        except (asyncio.IncompleteReadError, ConnectionError, ValueError):
            pass
        finally:
            for stream in list(self.streams.values()):
                await stream.ended()
            self._writer.close()

    async def send(self, packet: Packet) -> None:
        """Write a packet, late if the test says so; a lost link is noticed where it is read."""
        if self.faults.delay_s:
            await asyncio.sleep(self.faults.delay_s)
        with contextlib.suppress(ConnectionError):
            self._writer.write(packet.encode())
            await self._writer.drain()

    def abort(self) -> None:
        """Cut the link at once; bytes that were not sent are lost."""
        self._writer.transport.abort()

    async def greet(self) -> None:
        """Send the banner, after which the host takes the device for usable."""
        self._was_greeted = True
        await self.send(Packet(CNXN, VERSION, MAX_DATA, self._banner()))

    async def _handle(self, packet: Packet, data: bytes) -> None:
        if packet.command == CNXN:
            self.peer_max_data = packet.arg1
            if not self.faults.answers:
                self.faults.happened.append("no answer to a host")
            elif self.faults.is_authorized:
                await self.greet()
            else:
                self.faults.happened.append("unauthorized")
                await self._challenge()
        elif packet.command == AUTH:
            if self.faults.is_authorized:
                await self.greet()
            elif packet.arg0 == SIGNATURE:  # the host's key is unknown; it offers the public one
                await self._challenge()
        elif packet.command == OPEN and self._was_greeted:
            await self._open(packet.arg0, data.rstrip(b"\0").decode("utf-8", "surrogateescape"))
        elif stream := self.streams.get(packet.arg1):
            if packet.command == WRTE:
                await stream.arrived(data)
            elif packet.command == OKAY:
                await stream.answered()
            elif packet.command == CLSE:
                self.streams.pop(stream.own, None)
                await stream.ended()

    async def _challenge(self) -> None:
        await self.send(Packet(AUTH, TOKEN, 0, os.urandom(20)))

    async def _open(self, peer: int, service: str) -> None:
        own, self._next = self._next, self._next + 1
        stream = Stream(self, own, peer)
        if self.faults.refuses(service):
            await stream.refuse()
            return
        self.streams[own] = stream
        task = asyncio.create_task(self._run_service(stream, service))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run_service(self, stream: Stream, service: str) -> None:
        try:
            if self.faults.hangs(service):
                await stream.accept()
                return  # the stream remains open
            await self._serve(stream, service)
        except StreamClosed:
            self.streams.pop(stream.own, None)
