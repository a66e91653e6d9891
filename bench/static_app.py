"""What everything is measured against: a FastAPI route that returns 3 KB, with the uvicorn settings of the service."""

import asyncio
import socket
import sys

import uvicorn
import uvloop
from fastapi import FastAPI, Response

BODY = b'{"resourceType":"CarePlan","note":[{"text":"' + b"x" * 2950 + b'"}]}'

app = FastAPI()


@app.get("/static")
async def static() -> Response:
    return Response(BODY, media_type="application/fhir+json")


async def serve(port: int) -> None:
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(("127.0.0.1", port))
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=30,
        limit_concurrency=2000,
        h11_max_incomplete_event_size=16_384,
        ws="none",
    )
    await uvicorn.Server(config).serve(sockets=[sock])


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(int(sys.argv[1])))
