"""POST /partners/notices/{token}: a partner's server says that something changed there. Only a hint of when to look.

Who knows the address may say so, and nothing else: of the body no more is read than a bit, and nothing of it is kept
(a handshake is told from a change by its one word). An unknown address is as unknown as any other.
"""

import asyncio
import time

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from service import metrics
from service.api.state import Shared
from service.auth.tokens import digest_of
from service.store import partner_notices as stored
from service.store.change import Change
from service.workflow.partner_notices import PATH

MAX_BODY = 16 * 1024
BODY_S = 5.0
HANDSHAKE = b'"handshake"'
NO_STORE = {"Cache-Control": "no-store"}


async def told(request: Request) -> Response:
    """200 once it is noted when to look; 404 for an address that is nobody's."""
    started = time.perf_counter()
    shared: Shared = request.app.state.enlace
    store = shared.store
    digest = digest_of(request.path_params["token"])
    row = await stored.by_token(store, digest) if digest else None
    if row is None:
        raise HTTPException(404)
    change, now_us = Change(), store.clock.now_us()
    if row.status in stored.WAITS:
        change.statements.append(stored.first_told(row.partner, row.token, now_us))
    if HANDSHAKE not in await _beginning(request) and await stored.unheard(store, row.partner, now_us):
        change.statements.append(stored.hinted(row.partner, now_us))
    if change.statements:
        await store.commit(change)
    metrics.request_done("partner-notice", "", 200, time.perf_counter() - started)
    return Response(status_code=200, headers=NO_STORE)


async def _beginning(request: Request) -> bytes:
    """So much of the body as is looked at. One that does not come is none: a notice needs no body."""
    read = b""
    try:
        async with asyncio.timeout(BODY_S):
            async for part in request.stream():
                read += part[: MAX_BODY - len(read)]
                if len(read) >= MAX_BODY:
                    break
    except (TimeoutError, ClientDisconnect):
        pass
    return read


routes = [Route(f"{PATH}{{token}}", told, methods=["POST"])]
