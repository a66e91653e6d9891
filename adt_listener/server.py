"""The MLLP socket: one task a connection, frames answered in order, one ACK a write. Framing is in mllp.py.

A sender that stops reading, speaks no MLLP or holds a half frame loses its own connection and nobody else's.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from adt_listener.mllp import Discarded, Event, Frame, FrameReader, NotMllp, Oversize, wrap
from service.log_events import ADT_CONNECTED, ADT_DISCONNECTED, ADT_UNREADABLE, log

Receive = Callable[[bytes], Awaitable[bytes | None]]

CHUNK = 262_144
IDLE_S = 3600.0
FRAME_S = 60.0
"""A frame that has begun must be whole within this time."""
WRITE_S = 20.0
MAX_CONNECTIONS = 512
GRACE_S = 0.5
"""FS without CR: after this silence the frame counts as whole."""


class MllpServer:
    """Accepts connections until stopped. receive: one payload -> its acknowledgement, never raising."""

    def __init__(self, receive: Receive, refuse_oversize: Receive):
        self._receive, self._refuse_oversize = receive, refuse_oversize
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def start(self, host: str, port: int) -> int:
        """Listens; returns the port."""
        self._server = await asyncio.start_server(self._accept, host, port, limit=CHUNK, backlog=256)
        return int(self._server.sockets[0].getsockname()[1])

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None or len(self._connections) >= MAX_CONNECTIONS:
            writer.close()
            return
        self._connections.add(task)
        log(ADT_CONNECTED, connections=len(self._connections))
        reason, messages = "closed", 0
        try:
            reason, messages = await self._serve(reader, writer)
        except (ConnectionError, TimeoutError, OSError):
            reason = "lost"
        except asyncio.CancelledError:
            reason = "stopping"
        finally:
            self._connections.discard(task)
            log(ADT_DISCONNECTED, connections=len(self._connections), reason=reason, messages=messages)
            writer.close()
            with contextlib.suppress(Exception):
                await asyncio.wait_for(writer.wait_closed(), 1)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> tuple[str, int]:
        frames, messages, partial = FrameReader(), 0, False
        while True:
            try:
                data = await asyncio.wait_for(reader.read(CHUNK), GRACE_S if partial else IDLE_S)
            except TimeoutError:
                if not partial:
                    return "idle", messages
                events, partial = frames.idle(), False
            else:
                if not data:
                    for event in frames.close():
                        messages += await self._answer(event, writer)
                    return "closed", messages
                events, partial = frames.feed(data), True
            for event in events:
                if isinstance(event, NotMllp):
                    return "not-mllp", messages
                messages += await self._answer(event, writer)

    async def _answer(self, event: Event, writer: asyncio.StreamWriter) -> int:
        """Answers one event; the count of messages in it."""
        match event:
            case Frame(payload):
                ack = await self._receive(payload)
            case Oversize(head, size):
                log(ADT_UNREADABLE, reason="oversize", bytes=size)
                ack = await self._refuse_oversize(head)
            case Discarded(reason, size):
                log(ADT_UNREADABLE, reason=reason, bytes=size)
                return 0
            case NotMllp():
                return 0
        if ack is not None:
            writer.write(wrap(ack))
            await asyncio.wait_for(writer.drain(), WRITE_S)
        return 1

    async def stop(self) -> None:
        """Stops accepting, lets the messages in hand be answered, closes the connections."""
        if self._server is None:
            return
        self._server.close()
        for task in tuple(self._connections):
            task.cancel()
        if self._connections:
            await asyncio.wait(tuple(self._connections), timeout=5)
