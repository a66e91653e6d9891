"""Live inbox: Server-Sent Events that say only that something changed; the page then fetches its list anew.

https://html.spec.whatwg.org/multipage/server-sent-events.html . One listener per process: commits are gathered for
100 ms into one pulse for all connections; each connection asks the store at most once a second.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from service.store.database import TooCostly, Unavailable
from service.store.engine import Store
from service.web.inbox import fingerprint, whose_alerts
from service.web.rendering import HEADERS
from service.web.session import Shared, of_app, require_person, shared_of, signed_in

GATHER_S = 0.1
PAUSE_S = 1.0
BACKSTOP_S = 5.0
"""PostgreSQL tells of other processes' commits only where they made jobs; so each connection also looks by itself."""
WATCH_S = 0.25
HEARTBEAT_S = 15.0
MOST_PER_SESSION = 8
"""Connections of one session: a script gone wild must not take them all."""


class Live:
    """Fan-out of commits to the connections of this process."""

    def __init__(self, store: Store, shared: Shared):
        self._store, self._shared = store, shared
        self._pulse = asyncio.Event()
        self._gathering = False
        self.generation = 0
        self._watch: asyncio.Task[None] | None = None
        self.open: Counter[bytes] = Counter()
        self.checks = 0
        store.on_commit(self._committed)

    @property
    def ending(self) -> bool:
        return not self._shared.ready or self._store.lost.is_set()

    def _committed(self) -> None:
        if not self._gathering and self.open:
            self._gathering = True
            asyncio.get_running_loop().call_later(GATHER_S, self._wake)

    def _wake(self) -> None:
        self._gathering = False
        self.generation += 1
        self._pulse.set()
        self._pulse = asyncio.Event()

    async def changed(self, since: int, timeout_s: float) -> None:
        """Returns once there were commits after generation `since`, after the time, or when the process stops."""
        if self._watch is None or self._watch.done():
            self._watch = asyncio.get_running_loop().create_task(self._watch_end())
        if self.generation != since:
            return
        try:
            await asyncio.wait_for(self._pulse.wait(), timeout_s)
        except TimeoutError:
            return

    async def _watch_end(self) -> None:
        """One task for all connections notices that the process stops; it ends with the last of them."""
        while self.open:
            await asyncio.sleep(WATCH_S)
            if self.ending:
                self._wake()


async def events(request: Request) -> Response:
    """text/event-stream: `seen` with an opaque mark after each change, `ended` when the session is over. No PHI."""
    who = await require_person(request, active=False)
    shared = shared_of(request)
    live: Live = of_app(request, "live", lambda: Live(shared.store, shared))
    if live.open[who.session.digest] >= MOST_PER_SESSION:
        return Response("Too many open pages.", 429, HEADERS, media_type="text/plain")
    headers = HEADERS | {"X-Accel-Buffering": "no"}
    return StreamingResponse(_stream(request, live, who.session.digest), 200, headers, "text/event-stream")


async def _stream(request: Request, live: Live, digest: bytes) -> AsyncIterator[bytes]:
    live.open[digest] += 1
    sent, spoken, clock = "", 0.0, asyncio.get_running_loop().time
    try:
        yield b"retry: 2000\n\n"
        while not live.ending:
            live.checks += 1
            looked_at = live.generation
            try:
                mark = await _mark(request)
            except (Unavailable, TooCostly):  # the connection outlasts the trouble: the page looks again by itself
                await _pause(live)
                continue
            if mark is None:
                yield b"event: ended\ndata: 1\n\n"
                return
            if mark != sent or clock() - spoken >= HEARTBEAT_S:
                yield b": still here\n\n" if mark == sent else b"event: seen\ndata: %b\n\n" % mark.encode()
                sent, spoken = mark, clock()
            await _pause(live)
            if not live.ending:
                await live.changed(looked_at, BACKSTOP_S)
    finally:
        live.open[digest] -= 1
        live.open += Counter()  # drops what is zero


async def _pause(live: Live) -> None:
    """A second between two looks, cut short when the process stops."""
    for _ in range(round(PAUSE_S / WATCH_S)):
        if live.ending:
            return
        await asyncio.sleep(WATCH_S)


async def _mark(request: Request) -> str | None:
    """The mark of what the person sees now; None when the session is over. Rights are read anew each time."""
    who = await signed_in(request, active=False)
    return await fingerprint(who.ctx, await whose_alerts(who.ctx)) if who else None
