"""What authentication, access, consent and audit cost: requests with them and without, in turn in one process.

Without: a caller who is known beforehand and sees all, and no audit row is committed. Both ways are called as ASGI, so
that no client is measured along; CPU is that of this process, the writer thread of SQLite included.
"""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fastapi import FastAPI

from bench.county import OWNER, County
from bench.results import Row
from service.api import exchange
from service.caller import system_caller
from service.main import build
from service.settings import load
from service.store.change import Change, Committed
from service.store.engine import Store, open_store

AT_ONCE = 32
TARGET = 1.6


def paths(county: County) -> dict[str, list[str]]:
    """Name -> what is asked in turn."""
    half = county.members // 2
    return {
        "read": [f"/fhir/CarePlan/c{n % county.plans}" for n in range(200)],
        "search, two criteria": [f"/fhir/Task?patient=Patient/m{n % half}&status=requested" for n in range(200)],
        "queue search": [f"/fhir/Task?owner={OWNER}&status=requested,accepted&_sort=-_lastUpdated"] * 20,
    }


def measure(county: County, url: str, folder: Path, *, rounds: int) -> list[Row]:
    return asyncio.run(_measure(county, url, folder, rounds))


async def _measure(county: County, url: str, folder: Path, rounds: int) -> list[Row]:
    store = await open_store(url)
    try:
        settings = load(
            {"ENLACE_DATABASE_URL": url, "ENLACE_SECRET_KEY_FILE": str(folder / "g"), "ENLACE_CLIENT_RATE": "0"}
        )
        app = build(store, settings)
        rows = []
        for name, asked in paths(county).items():
            await _round(app, asked, county.large_token)  # warms both caches and code
            spent: dict[bool, list[tuple[float, float]]] = {True: [], False: []}
            for _ in range(rounds):
                spent[True].append(await _round(app, asked, county.large_token))
                with unguarded(store):
                    spent[False].append(await _round(app, asked, county.large_token))
            guarded, bare = min(spent[True]), min(spent[False])
            ratio = guarded[0] / bare[0]
            rows.append(
                Row(
                    f"guards: {name}",
                    ratio=ratio,
                    server_us=guarded[0],
                    floor=f"CPU <= {TARGET} of {bare[0]:.0f} us without",
                    reached=ratio <= TARGET,
                    note=f"wall {guarded[1]:.0f} / {bare[1]:.0f} us",
                )
            )
        return rows
    finally:
        await store.close()


@contextmanager
def unguarded(store: Store) -> Iterator[None]:
    """Everybody is the service itself, and reads leave no audit row."""
    authenticated, commit = exchange.authenticated, store.commit
    caller = system_caller()

    async def known(*_: Any) -> Any:
        return caller

    async def without_audit(change: Change) -> Committed:
        change.audit.clear()
        return await commit(change) if change != Change() else Committed(())

    exchange.authenticated, store.commit = known, without_audit  # type: ignore[assignment, method-assign]
    try:
        yield
    finally:
        exchange.authenticated, store.commit = authenticated, commit  # type: ignore[method-assign]


async def _round(app: FastAPI, asked: list[str], token: str) -> tuple[float, float]:
    """(CPU us, wall us) per request."""
    waiting = iter(asked)
    cpu, wall = time.process_time(), time.perf_counter()

    async def one_after_the_other() -> None:
        for path in waiting:
            await _ask(app, path, token)

    await asyncio.gather(*(one_after_the_other() for _ in range(AT_ONCE)))
    return (time.process_time() - cpu) / len(asked) * 1e6, (time.perf_counter() - wall) / len(asked) * 1e6


async def _ask(app: FastAPI, path: str, token: str) -> None:
    bare, _, query = path.partition("?")
    scope = {
        "type": "http", "http_version": "1.1", "method": "GET", "scheme": "http", "path": bare,
        "raw_path": bare.encode(), "query_string": query.encode(), "root_path": "", "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 8000), "headers": [(b"authorization", f"Bearer {token}".encode())],
    }  # fmt: skip
    status = 0

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        nonlocal status
        if message["type"] == "http.response.start":
            status = message["status"]

    await app(scope, receive, send)
    if status != 200:
        raise SystemExit(f"{bare} was answered {status}")
