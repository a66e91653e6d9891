"""Live events: what wakes them, how seldom they look, how they end; on both engines."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from service.store import credentials
from service.store.change import AuditRow, Change
from service.store.database import Unavailable
from service.store.engine import Store
from tests.service.web.browsing import Browser
from tests.service.web.county import alert, put, settings

POSTGRESQL_IN_DEEP = True

ANA = "Practitioner/ana"


class Stream:
    """The events of one connection; httpx hands a response over when it is whole, so it is read as it is sent."""

    def __init__(self, browser: Browser):
        self._browser = browser
        self.text = ""
        self.over = asyncio.Event()
        self._leave = asyncio.Event()

    async def run(self) -> None:
        cookie = f"enlace={self._browser.cookies['enlace']}".encode()
        scope = {
            **{"type": "http", "method": "GET", "path": "/inbox/events", "raw_path": b"/inbox/events"},
            **{"query_string": b"", "headers": [(b"cookie", cookie), (b"host", b"enlace.test")], "scheme": "http"},
            **{"http_version": "1.1", "client": ("127.0.0.1", 1), "server": ("enlace.test", 80), "root_path": ""},
            "asgi": {"version": "3.0", "spec_version": "2.3"},
        }
        asked = False

        async def receive() -> dict[str, object]:
            nonlocal asked
            if asked:
                await self._leave.wait()
                return {"type": "http.disconnect"}
            asked = True
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: dict[str, object]) -> None:
            self.text += bytes(message.get("body", b"")).decode()  # type: ignore[arg-type,call-overload]

        await self._browser.app(scope, receive, send)  # type: ignore[arg-type]
        self.over.set()

    def marks(self) -> list[str]:
        lines = self.text.splitlines()
        return [lines[n + 1].removeprefix("data: ") for n, line in enumerate(lines) if line == "event: seen"]

    async def has(self, count: int, timeout_s: float = 8) -> list[str]:
        async with asyncio.timeout(timeout_s):
            while len(self.marks()) < count:
                await asyncio.sleep(0.02)
        return self.marks()

    def leave(self) -> None:
        self._leave.set()


@asynccontextmanager
async def listening(browser: Browser) -> AsyncIterator[Stream]:
    stream = Stream(browser)
    task = asyncio.create_task(stream.run())
    try:
        yield stream
    finally:
        stream.leave()
        await asyncio.wait_for(task, 10)


async def test_an_alert_of_ones_own_is_told_and_nothing_of_it(ana: Browser, store: Store) -> None:
    page = await ana.sign_in()
    async with listening(ana) as stream:
        marks = await stream.has(1)
        assert f'data-seen="{marks[0]}"' in page.text
        await put(store, alert("a-2", "maria", ANA, store.clock.now_us()))
        marks = await stream.has(2)
        assert marks[0] != marks[1] and f'data-seen="{marks[1]}"' in (await ana.get("/inbox/list")).text
        for told in ("Maria", "a-2", "admitted", "Patient"):
            assert told not in stream.text


async def test_what_others_get_is_not_told(ana: Browser, store: Store) -> None:
    await ana.sign_in()
    async with listening(ana) as stream:
        await stream.has(1)
        now = store.clock.now_us()
        await put(store, alert("b-2", "joe", "Practitioner/ben", now), alert("a-9", "joe", ANA, now))
        await asyncio.sleep(2.5)
        assert len(stream.marks()) == 1


async def test_a_storm_of_commits_costs_one_look_a_second(ana: Browser, store: Store) -> None:
    await ana.sign_in()
    async with listening(ana) as stream:
        await stream.has(1)
        live = ana.app.state.live
        before, until = live.checks, asyncio.get_running_loop().time() + 3
        commits = 0
        while asyncio.get_running_loop().time() < until:
            await store.commit(Change(audit=[AuditRow("E", "storm", 0, "t", "t")]))
            commits += 1
        assert commits > 50 and live.checks - before <= 4


async def test_signing_out_ends_the_stream(ana: Browser) -> None:
    page = await ana.sign_in()
    async with listening(ana) as stream:
        await stream.has(1)
        await ana.press(page, "Sign out")
        await asyncio.wait_for(stream.over.wait(), 8)
        assert stream.text.endswith("event: ended\ndata: 1\n\n")


async def test_a_revoked_client_hears_no_more(ana: Browser, store: Store) -> None:
    await ana.sign_in()
    async with listening(ana) as stream:
        await stream.has(1)
        await store.commit(Change(statements=[credentials.deactivate_client("ana")]))
        await asyncio.wait_for(stream.over.wait(), 8)


async def test_a_stopping_process_ends_all_streams_soon(ana: Browser) -> None:
    await ana.sign_in()
    async with listening(ana) as one, listening(ana) as other:
        await one.has(1)
        await other.has(1)
        await asyncio.sleep(1.5)
        ana.app.state.enlace.ready = False
        await asyncio.wait_for(asyncio.gather(one.over.wait(), other.over.wait()), 2)
        assert "ended" not in one.text


async def test_a_closed_page_leaves_nothing_behind(ana: Browser) -> None:
    await ana.sign_in()
    async with listening(ana) as stream:
        await stream.has(1)
        assert sum(ana.app.state.live.open.values()) == 1
    assert not ana.app.state.live.open


async def test_one_session_has_a_few_streams_only(ana: Browser, store: Store) -> None:
    await ana.sign_in()
    async with listening(ana) as stream:
        await stream.has(1)
        ana.app.state.live.open.update({next(iter(ana.app.state.live.open)): 7})
        answer: httpx.Response = await ana.get("/inbox/events")
        assert answer.status_code == 429
        ana.app.state.live.open.subtract({next(iter(ana.app.state.live.open)): 7})
    async with Browser(store, settings()) as stranger:
        assert (await stranger.get("/inbox/events")).status_code == 401


async def test_a_stream_outlasts_a_store_that_is_away(
    ana: Browser, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_facts: object, **_more: object) -> list[tuple[object, ...]]:
        raise Unavailable("away")

    await ana.sign_in()
    async with listening(ana) as stream:
        await stream.has(1)
        with monkeypatch.context() as patched:
            patched.setattr(store.db, "fetch", away)
            await asyncio.sleep(1.5)
            assert not stream.over.is_set()
        await put(store, alert("a-3", "maria", ANA, store.clock.now_us()))
        await stream.has(2)
