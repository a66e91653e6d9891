"""Finding a message in an inbox of many: by each number, by name, event, day, member; through the code that people ask.

The inbox is made up by SQL: a year of messages, eight terms each; those that are looked for have keys of their own.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from statistics import quantiles
from typing import Any
from urllib.parse import urlsplit

import asyncpg

from bench.results import Row
from service.store import inbox_terms
from service.store.change import Change
from service.store.engine import Store, open_store
from service.store.inbox_terms import Term, of_code, of_names, of_number
from service.store.slots import vid_at
from service.workflow.feed_search import Asked, find

FIRST_US, YEAR_US, HOUR_US = 1_735_689_600_000_000, 31_536_000_000_000, 3_600_000_000  # 2025-01-01
PAGE, RAW, GOAL_MS = 20_000, 800, 200.0
NEXT = "SELECT i + 1 FROM n WHERE i"
CODES = ("A01", "A03", "A04", "A08", "A02", "A31", "A11", "A40")
SHARES = {
    "of 2%": (("Garcia", ""), 50),
    "of 1 in 1,000": (("Garcia", "Maria"), 1_000),
    "rare": (("Quirke", ""), 50_000),
}
"""A surname as common as they come, with a first name, and a rare one: one message of so many has it."""


def measure(url: str, *, messages: int, searches: int) -> list[Row]:
    return asyncio.run(_measure(url, messages, searches))


async def _measure(url: str, messages: int, searches: int) -> list[Row]:
    store = await open_store(url)
    try:
        began = time.monotonic()
        async with _filling(store, url) as execute:
            await _fill(store, messages, execute)
        print(f"{store.db.name}: {messages:,} messages made up in {time.monotonic() - began:.0f} s", flush=True)
        return [await _asked(store, words, asked, messages, searches) for words, asked in _questions(messages)]
    finally:
        await store.close()


def _questions(messages: int) -> list[tuple[str, list[Asked]]]:
    """Words, and what is asked in turn: old and new, so that no page of the disk is always the same."""
    numbers = range(0, messages, max(messages // 40, 1))
    day_us = FIRST_US + YEAR_US // 2
    return [
        ("MRN", [Asked(mrn=f"P{n}") for n in numbers]),
        ("CIN", [Asked(cin=f"P{n}") for n in numbers]),
        ("visit", [Asked(visit=f"P{n}") for n in numbers]),
        ("control id", [Asked(control_id=f"C{n}") for n in numbers]),
        ("member", [Asked(patient=f"Patient/p{n // 5}") for n in numbers]),
        *((f"name {words}", [Asked(name=",".join(name))]) for words, (name, _) in SHARES.items()),
        ("name of 2% and event", [Asked(name="Garcia", event="A40")]),
        ("event", [Asked(event="A03")]),
        ("event of one hour", [Asked(event="A03", since_us=day_us, until_us=day_us + HOUR_US)]),
        ("name of 2%, one sender, failed", [Asked(name="Garcia", source="s3", state="failed")]),
        ("state failed", [Asked(state="failed")]),
        ("sender", [Asked(source="s3")]),
        ("nobody's number", [Asked(mrn=f"N{n}") for n in numbers]),
    ]


async def _asked(store: Store, words: str, asked: list[Asked], messages: int, searches: int) -> Row:
    took, rows = [], 0
    for n in range(searches):
        began = time.perf_counter()
        found = await find(store, asked[n % len(asked)], limit=50, look=10_000)
        took.append((time.perf_counter() - began) * 1000)
        rows = len(found.rows)
    cuts = quantiles(took, n=100)
    return Row(
        f"find a message by {words}, {messages:,}", p50_ms=cuts[49], p99_ms=cuts[98], floor=f"p99 < {GOAL_MS:.0f} ms",
        reached=cuts[98] < GOAL_MS, note=f"{rows} found",
    )  # fmt: skip


@asynccontextmanager
async def _filling(store: Store, url: str) -> AsyncIterator[Callable[[str], Awaitable[Any]]]:
    """Runs a statement for as long as it takes, which the service's own connections to PostgreSQL do not."""
    if store.db.name == "sqlite":
        yield store.db.execute
        return
    connection = await asyncpg.connect(urlsplit(url)._replace(scheme="postgresql").geturl())
    await connection.execute("SET statement_timeout = 0")
    try:
        yield connection.execute
    finally:
        await connection.close()


async def _fill(store: Store, messages: int, execute: Callable[[str], Awaitable[Any]]) -> None:
    step = YEAR_US // messages
    for first in range(0, messages, PAGE):
        last = min(first + PAGE, messages) - 1
        numbers = f"WITH RECURSIVE n(i) AS (VALUES (CAST({first} AS BIGINT)) UNION ALL {NEXT} < {last})"
        at, id = f"{FIRST_US} + n.i * {step}", f"{vid_at(FIRST_US)} + n.i * {step * 4096}"
        raw = f"decode(repeat('4d', {RAW}), 'hex')" if store.db.name == "postgresql" else f"zeroblob({RAW})"
        hash = "decode(md5(CAST(n.i AS TEXT)), 'hex')" if store.db.name == "postgresql" else "randomblob(16)"
        await execute(
            "INSERT INTO inbox (id, source, control_id, hash, received_us, event, raw, state, reason, patient, stay) "
            f"{numbers} SELECT {id}, 's' || (n.i % 12), 'C' || n.i, {hash}, {at}, 'A03', {raw}, CASE WHEN n.i % 997 = 0"
            " THEN 'failed' WHEN n.i % 3 = 0 THEN 'applied' ELSE 'unmatched' END, '', "
            "CASE WHEN n.i % 3 = 0 THEN 'Patient/p' || (n.i / 5) ELSE '' END, 'v' || (n.i / 3) FROM n"
        )
        await execute(
            f"INSERT INTO stay_event (stay, inbox_id, patient, occurred_us, event) {numbers} SELECT 'v' || (n.i / 3), "
            f"{id}, CASE WHEN n.i % 3 = 0 THEN 'Patient/p' || (n.i / 5) ELSE '' END, {at}, '' FROM n"
        )
    await _terms(store, messages, step, execute)
    if store.db.name == "postgresql":
        for table in ("inbox", "inbox_term", "stay_event"):
            await execute(f"VACUUM ANALYZE {table}")


async def _terms(store: Store, messages: int, step: int, execute: Callable[[str], Awaitable[Any]]) -> None:
    """In the order of the table, as one statement: ten million rows put in by chance would take an hour."""

    def key(term: Term) -> int:
        return store.keys.of("inbox-term", *term)

    def spread(salt: int, of: str) -> str:
        """Numbers all over the table, the same for the same `of`, by arithmetic that both databases have."""
        return f"((({of}) * 2654435761 + {salt}) % 4294967291) * 2147483647 - 4611686018427387904"

    of_most = (
        (11, "i / 5"),
        (12, "i / 3"),
        (13, "i / 7"),
        (14, "i % 2003"),
        (15, "i % 200003"),
        (16, "i % 4001"),
        (17, "i"),
    )
    parts = [f"SELECT {spread(salt, of)}, id FROM m" for salt, of in of_most]
    codes = " ".join(f"WHEN {n} THEN {key(of_code(code))}" for n, code in enumerate(CODES))
    parts.append(f"SELECT CASE i % {len(CODES)} {codes} END, id FROM m")
    parts += [f"SELECT {key(of_names(*name))}, id FROM m WHERE i % {every} = 7" for name, every in SHARES.values()]
    first_id, width = vid_at(FIRST_US), step << 12
    await execute(
        f"INSERT INTO inbox_term (term, inbox_id) WITH m AS (SELECT id, (id - {first_id}) / {width} AS i FROM inbox "
        f"WHERE id >= {first_id}) {' UNION ALL '.join(parts)} ORDER BY 1, 2"
    )
    for n in range(0, messages, max(messages // 40, 1)):
        for kind in ("mrn", "cin", "visit"):
            await execute(
                f"INSERT INTO inbox_term (term, inbox_id) SELECT {key(of_number(kind, f'P{n}'))}, id FROM inbox "
                f"WHERE id >= {first_id + n * width} AND id < {first_id + (n + 6) * width}"
            )
    await store.commit(Change(statements=[inbox_terms.done(vid_at(FIRST_US + YEAR_US))]))
