"""The floor of acknowledgements: a socket that answers each MLLP frame with a fixed AA and keeps nothing."""

import asyncio
import sys
from typing import cast

import uvloop

ACK = b"\x0bMSH|^~\\&|E|E|B|H|20260101000000||ACK^A01^ACK|1|P|2.5.1\rMSA|AA|1\r\x1c\r"


class Floor(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport, self._buffer = cast(asyncio.Transport, transport), b""  # uvloop's is none by its class

    def data_received(self, data: bytes) -> None:
        *frames, self._buffer = (self._buffer + data).split(b"\x1c\r")
        for _ in frames:
            self._transport.write(ACK)


async def main(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Floor, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
