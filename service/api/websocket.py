"""/ws, the websocket channel of subscriptions: `bind-with-token: <token>`, a handshake, then notifications.

http://hl7.org/fhir/uv/subscriptions-backport/channels.html#websockets . What is told is decided in
service/notify/sockets.py; here are the connections of one process: who may come, how many, for how long, and when they
look. Several processes may serve: each tails the table of events by itself. Limits: docs/limits.md
"""

import asyncio
import re
import time
from contextlib import suppress

from starlette.responses import PlainTextResponse
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from service.api.cors import Origins
from service.api.server import WS_MOST_BYTES
from service.api.socket_hub import Hub
from service.api.state import Shared
from service.log_events import WEBSOCKET_CLOSED, WEBSOCKET_FAILED, WEBSOCKET_OPENED, log, where
from service.notify import sockets
from service.notify.model import Kind
from service.notify.sockets import Bound, Ended, Refused
from service.operations.subscription_websocket import PATH
from service.store.authorizations import redirect_uris
from service.store.database import TooCostly, Unavailable

BIND_S = 10
"""So long after it was opened, a socket that bound nothing is closed."""
MOST_BOUND = 100
"""Subscriptions on one socket."""
SEND_S = 10
"""Who takes nothing for so long is a slow reader."""
CHECK_S = 30
"""So often at least is asked whether client, token and subscription still stand."""
CLOSE_S = 1
GONE, UNSUPPORTED, POLICY, TOO_BIG, FAULT, AGAIN = 1001, 1003, 1008, 1009, 1011, 1013
_BIND = re.compile(r"\s*bind-with-token:?\s+([A-Za-z0-9_-]{1,100})\s*\Z")
_HOW = "send: bind-with-token: <token of $get-ws-binding-token>"


class Closing(Exception):
    """The socket is to be closed. code: of RFC 6455. reason: for the client; code of the log."""

    def __init__(self, code: int, reason: str, logged: str):
        super().__init__(logged)
        self.code, self.reason, self.logged = code, reason, logged


async def websocket(ws: WebSocket) -> None:
    """One connection, from its opening to its end."""
    shared: Shared = ws.app.state.enlace
    hub = _hub(ws, shared)
    if not await _may_come(ws, shared):
        await ws.send_denial_response(PlainTextResponse("This origin is not let in.", 403))
        return
    address = ws.client.host if ws.client else ""
    if not shared.ready or not hub.enter(address):
        text = "There are too many connections: try again later."
        await ws.send_denial_response(PlainTextResponse(text, 503, {"Retry-After": "5"}))
        return
    connection = Connection(ws, hub, address)
    try:
        await ws.accept()
        await connection.run()
    finally:
        hub.leave(connection.address)
        hub.forget(connection)


routes = [WebSocketRoute(PATH, websocket)]


def _hub(ws: WebSocket, shared: Shared) -> Hub:
    state = ws.app.state
    if not hasattr(state, "sockets"):
        state.sockets = Hub(shared)
        state.socket_origins = Origins(shared.settings.origins, lambda: redirect_uris(shared.store))
    found: Hub = state.sockets
    return found


async def _may_come(ws: WebSocket, shared: Shared) -> bool:
    """A browser names the page's origin, and no rule of the browser's keeps a page from opening a socket anywhere."""
    origin = ws.headers.get("origin")
    if origin is None or origin.lower() == shared.settings.base_url.lower():
        return True
    known: Origins = ws.app.state.socket_origins
    return await known.let_in(origin.encode("latin-1"))


class Connection:
    """One socket: a task that reads what the client sends, and one that tells it what there is."""

    def __init__(self, ws: WebSocket, hub: Hub, address: str):
        self._ws, self._hub, self.address, self._network = ws, hub, address, address
        self._store, self._behaviour = hub.shared.store, hub.shared.behaviour
        self.bound: dict[int, Bound] = {}
        self.client_id = ""
        self.wake = asyncio.Event()
        self._sending = asyncio.Lock()
        self._ending: Closing | None = None

    def end(self, code: int, reason: str, logged: str) -> None:
        """From outside: the hub ends it."""
        self._ending = Closing(code, reason, logged)
        self.wake.set()

    async def run(self) -> None:
        tasks = [asyncio.create_task(self._read()), asyncio.create_task(self._tell())]
        log(WEBSOCKET_OPENED, open=self._hub.count)
        why = Closing(1000, "", "closed")
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                why = await _outcome(task)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        if why.code != 1000:
            with suppress(Exception):  # it may be gone, or read nothing any more
                await asyncio.wait_for(self._ws.close(why.code, why.reason), CLOSE_S)
        log(WEBSOCKET_CLOSED, reason=why.logged, bound=len(self.bound))

    # --- what the client sends

    async def _read(self) -> None:
        """Ends by WebSocketDisconnect where the client goes."""
        opened_s = time.monotonic()
        while True:
            left_s = None if self.bound else max(BIND_S - (time.monotonic() - opened_s), 0.0)
            try:
                message = await asyncio.wait_for(self._ws.receive(), left_s)
            except TimeoutError:
                raise Closing(POLICY, f"Within {BIND_S} s {_HOW}", "idle") from None
            if message["type"] == "websocket.disconnect":
                raise WebSocketDisconnect(message.get("code", 1005))
            await self._bind(message.get("text"))

    async def _bind(self, text: str | None) -> None:
        if text is None:
            raise Closing(UNSUPPORTED, f"Text only: {_HOW}", "binary")
        if len(text.encode()) > WS_MOST_BYTES:
            raise Closing(TOO_BIG, f"At most {WS_MOST_BYTES} bytes: {_HOW}", "too-long")
        match = _BIND.match(text)
        if match is None:
            raise Closing(POLICY, f"Not understood: {_HOW}", "not-understood")
        try:
            found = await sockets.bind(self._store, self._behaviour, match[1], self._network)
        except Refused as refused:
            text = "The token is not known, is used, or is over: ask for another."
            raise Closing(POLICY, text, str(refused)) from None
        except (Unavailable, TooCostly):
            raise Closing(AGAIN, "The store cannot be reached now: try again.", "store") from None
        self._admit(found)
        for one in found:
            await self._greet(one, Kind.HANDSHAKE)
            if one.key in self.bound:  # bound anew: it goes on where it is
                self.bound[one.key].asked_with = one.asked_with
            else:
                self.bound[one.key] = one
        self._hub.watch(self)
        self.wake.set()

    def _admit(self, found: list[Bound]) -> None:
        client_id = found[0].client_id
        if self.client_id and client_id != self.client_id:
            raise Closing(POLICY, "The token is another client's: open another socket for it.", "other-client")
        if not self.client_id and not self._hub.recognise(self, client_id):
            raise Closing(AGAIN, "The client has too many open sockets: close some.", "too-many")
        if len(self.bound.keys() | {one.key for one in found}) > MOST_BOUND:
            raise Closing(POLICY, f"A socket binds at most {MOST_BOUND} Subscriptions.", "too-many")
        self.client_id = client_id

    # --- what it is told

    async def _tell(self) -> None:
        checked_s = time.monotonic()
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self.wake.wait(), self._pause())
            self.wake.clear()
            if self._ending is not None:
                raise self._ending
            due = time.monotonic() - checked_s >= CHECK_S
            try:
                for one in list(self.bound.values()):
                    await self._catch_up(one, check=due)
            except (Unavailable, TooCostly):  # the connection outlasts the trouble: it looks again
                asyncio.get_running_loop().call_later(1.0, self.wake.set)
                continue
            checked_s = time.monotonic() if due else checked_s

    def _pause(self) -> float:
        now_s = time.monotonic()
        beats = [one.said_s + one.heartbeat_s - now_s for one in self.bound.values() if one.heartbeat_s]
        return max(min([CHECK_S, *beats]), 0.01)

    async def _catch_up(self, one: Bound, *, check: bool) -> None:
        """All that is there for it; a heartbeat where there was nothing for so long."""
        try:
            if check:
                await sockets.check(self._store, self._behaviour, one)
            while (batch := await sockets.following(self._store, self._behaviour, one)) is not None:
                started = time.perf_counter()
                if batch.body is not None:
                    try:
                        await self._send(batch.body, one)
                    except Closing:
                        await sockets.unread(self._store, one, batch, _ms(started))
                        raise
                await sockets.sent(self._store, one, batch, _ms(started))
            if one.heartbeat_s and time.monotonic() - one.said_s >= one.heartbeat_s:
                await self._greet(one, Kind.HEARTBEAT)
        except Ended as ended:
            self._unbind(one, ended)

    def _unbind(self, one: Bound, ended: Ended) -> None:
        self.bound.pop(one.key, None)
        if not self.bound or ended.reason == "access-ended":
            raise Closing(POLICY, "Nothing is told here any more: the subscription or its access ended.", ended.reason)

    async def _greet(self, one: Bound, kind: Kind) -> None:
        started = time.perf_counter()
        try:
            body = await sockets.greeting(self._store, self._behaviour, one, kind)
        except Ended as ended:
            raise Closing(POLICY, "The subscription ended.", ended.reason) from None
        await self._send(body, one)
        if kind is Kind.HANDSHAKE:
            await sockets.shaken(self._store, one, _ms(started))

    async def _send(self, body: bytes, one: Bound) -> None:
        """One at a time: what is not taken holds back the next, and is in the table meanwhile."""
        async with self._sending:
            try:
                await asyncio.wait_for(self._ws.send_text(body.decode()), SEND_S)
            except TimeoutError:
                raise Closing(AGAIN, "Read faster: bind again to go on.", "slow-reader") from None
        one.said_s = time.monotonic()


async def _outcome(task: "asyncio.Task[None]") -> Closing:
    error = task.exception()
    match error:
        case Closing():
            return error
        case WebSocketDisconnect() | None:
            return Closing(1000, "", "client")
        case Unavailable() | TooCostly():
            return Closing(AGAIN, "The store cannot be reached now: try again.", "store")
        case _:
            log(WEBSOCKET_FAILED, **where(error))
            return Closing(FAULT, "It failed by our fault: bind again.", "fault")


def _ms(started: float) -> int:
    return int((time.perf_counter() - started) * 1000)
