"""uvicorn's websocket, with two promises more: a send returns once the system has the bytes, and an end is an end.

As it is, a send returns with 64 KB in the process, so that what a broken connection never took would count as
delivered; and a client that reads nothing holds its connection, and the stop of the process, until TCP gives up.
"""

import asyncio
from asyncio.transports import BaseTransport, Transport
from typing import cast

from uvicorn._types import ASGISendEvent
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

ABORT_S = 2.0
"""So long has a client to take what is left once all is said."""


class SocketProtocol(WebSocketsSansIOProtocol):
    def connection_made(self, transport: BaseTransport) -> None:
        super().connection_made(transport)
        cast(Transport, transport).set_write_buffer_limits(high=0)

    async def send(self, message: ASGISendEvent) -> None:
        await super().send(message)
        await self.writable.wait()

    def on_task_complete(self, task: "asyncio.Task[None]") -> None:
        super().on_task_complete(task)
        self.loop.call_later(ABORT_S, self._abort)

    def keepalive_timeout(self) -> None:
        super().keepalive_timeout()
        self.loop.call_later(ABORT_S, self._abort)

    def _abort(self) -> None:
        if not self.disconnected:
            self.transport.abort()
