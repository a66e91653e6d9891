"""ADT measurements beside their floors: a message's reading and reducing, acknowledgements, receipt to alert."""

import asyncio
import contextlib
import os
import random
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import psutil

from bench.county import LARGE, County, admission
from bench.deliveries import _shaken, _subscribe
from bench.deliveries import _wait as _until
from bench.processes import Server, _connects, _started, _wait, begin, cpu_us, drive, end, service
from bench.results import Row
from mappers.hl7v2.message import parse
from mappers.hl7v2.simulate_pathways import chosen, tell
from mappers.hl7v2.source import SourceConfig
from service.store.engine import open_store
from service.store.slots import updated_us
from service.workflow.message_reading import read
from service.workflow.stay_events import StoredEvent
from service.workflow.stays import reduce
from tests.postgres_server import free_port
from tests.scenarios.notify.receiving import Receiver, receiver
from tests.service.world import access_token

FIRST, RATE, STEP, LAG_MS, SLOWEST, FASTEST = 6_000_000, 50, 1.5, 1_000.0, 5, 2_000
"""First message number; messages a second to begin with, a step up, what a held rate keeps, least and most."""
ANN = {"cin": "91000001A", "mrn": "M1", "family": "Roe", "given": "Ann", "birth_date": "1980-05-17", "sex": "F"}
BEA = {**ANN, "cin": "91000002B", "mrn": "M2", "given": "Bea"}
HOSPITALS = ({"name": "East", "facility": "EAST"}, {"name": "West", "facility": "WEST"})
END_US = 1_772_568_000_000_000
TOPIC = "https://enlace.example.org/fhir/SubscriptionTopic/care-transition"


def a_message(rounds: int = 5) -> list[Row]:
    """CPU of one process a message: parsed, mapped to an event, and the whole stay reduced with each message of it."""
    rng, source = random.Random(1), SourceConfig("bench")
    stories = [tell(chosen(rng), rng, (ANN, BEA), HOSPITALS, END_US, str(n)) for n in range(150)]
    payloads = [[one.payload for one in story.messages] for story in stories]
    every = [raw for story in payloads for raw in story]
    stays = []
    for story in payloads:
        events = [e for raw in story for e in read(raw, source, END_US).events if e.visit is not None]
        stays.append([StoredEvent(event, str(n), END_US) for n, event in enumerate(events)])

    def reduced() -> None:
        for events in stays:
            for n in range(len(events)):
                reduce(events[: n + 1])

    mapped = [e for events in stays for e in events]
    return [
        _cpu("parse a message", len(every), rounds, lambda: [parse(raw) for raw in every]),
        _cpu("parse and map a message", len(every), rounds, lambda: [read(raw, source, END_US) for raw in every]),
        _cpu("reduce its stay", len(mapped), rounds, reduced),
    ]


def _cpu(name: str, count: int, rounds: int, work: Callable[[], object]) -> Row:
    best = 1e12
    for _ in range(rounds):
        began = time.process_time()
        work()
        best = min(best, (time.process_time() - began) / count)
    return Row(name, 1 / best, server_us=best * 1e6, note=f"{count} messages, one core")


@contextlib.contextmanager
def _floor(folder: Path) -> Iterator[Server]:
    port = free_port()
    with _started([sys.executable, "-m", "bench.mllp_floor", str(port)], dict(os.environ), folder / "floor.log") as one:
        _wait(one, lambda: _connects(port))
        yield Server(one, port)


def acknowledged(
    county: County, url: str, folder: Path, database: psutil.Process | None, *, seconds: float
) -> list[Row]:
    """ACKed messages a second at 1 and 16 connections; beside a socket that keeps nothing and a bare durable insert."""
    rows, number = [_inserts(url, folder, seconds)], FIRST
    with _floor(folder) as floor, service(url, folder, "adt-listener") as server:
        server.port = server.mllp_port
        for connections in (1, 16):
            order = {"kind": "mllp", "warm_s": 0.3, "seconds": seconds, "connections": connections}
            texts = [admission(n % (county.members // 2), number + n, time.time_ns() // 1000).decode("latin-1")
                     for n in range(int(9000 * (seconds + 0.5)))]  # fmt: skip
            number += len(texts)
            bare = drive({**order, "requests": texts, "again": True}, floor, None)
            ours = drive({**order, "requests": texts}, server, database)
            plural = "s" if connections > 1 else ""
            for name, found in (("a socket that keeps nothing", bare), ("ACKed after the commit", ours)):
                row = Row(f"{name}, {connections} connection{plural}", found.result["per_s"])
                row.p50_ms, row.p99_ms = found.result["p50_ms"], found.result["p99_ms"]
                row.server_us, row.database_us = found.server_us, found.database_us
                row.ratio = found.result["per_s"] / bare.result["per_s"]
                rows.append(row)
    asyncio.run(_forget(url))
    return rows


def _inserts(url: str, folder: Path, seconds: float) -> Row:
    """One message a commit, nothing else: what the disk gives."""
    body = admission(1, FIRST, END_US)
    per_s = _sqlite(folder, body, seconds) if url.startswith("sqlite") else asyncio.run(_postgresql(url, body, seconds))
    return Row("a bare durable insert, one a commit", per_s)


def _sqlite(folder: Path, body: bytes, seconds: float) -> float:
    database = sqlite3.connect(folder / "bare.db", isolation_level=None)
    database.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; CREATE TABLE m (id INTEGER, raw BLOB);")
    count, until = 0, time.monotonic() + seconds
    while time.monotonic() < until:
        database.execute("INSERT INTO m VALUES (?, ?)", (count, body))
        count += 1
    database.close()
    return count / seconds


async def _postgresql(url: str, body: bytes, seconds: float) -> float:
    place = urlsplit(url)
    connection = await asyncpg.connect(place._replace(scheme="postgresql").geturl())
    await connection.execute("CREATE TABLE bare_m (id bigint, raw bytea)")
    count, until = 0, time.monotonic() + seconds
    while time.monotonic() < until:
        await connection.execute("INSERT INTO bare_m VALUES ($1, $2)", count, body)
        count += 1
    await connection.execute("DROP TABLE bare_m")
    await connection.close()
    return count / seconds


async def _forget(url: str) -> None:
    store = await open_store(url)
    await store.db.execute("DELETE FROM job")
    await store.close()


def receipt_to_alert(
    county: County, url: str, folder: Path, database: psutil.Process | None, *, seconds: float, rate: float = RATE
) -> list[Row]:
    """From the receipt to the commit of the alert, and to the rest-hook of the member's provider.

    At 50/s, then faster until it is not held; where 50/s is not, slower until it is.
    """
    pairs, number = list[tuple[Row, Row]](), FIRST * 2
    token = asyncio.run(_token(url))
    with receiver(folder, 1) as hooks, service(url, folder, ENLACE_EGRESS_ALLOW=hooks.address(0)) as server:
        _subscribe(f"http://127.0.0.1:{server.port}/fhir", token, hooks.endpoint(0, "/stays"), None, TOPIC)
        _until(lambda: _shaken(hooks) >= 1, "handshake")
        while SLOWEST <= rate <= FASTEST:
            pairs.append(_at_rate(county, server, url, hooks, database, rate, seconds, number))
            number += int(rate * seconds)
            if pairs[-1][0].reached != pairs[0][0].reached:
                break
            asyncio.run(_settled(url))
            rate *= STEP if pairs[0][0].reached else 0.5
    held = [pair for pair in pairs if pair[0].reached]
    if held:
        held[-1][0].note = "the highest rate held"
    if pairs[0][0].reached:
        pairs[-1][0].reached = None  # a limit that was looked for, not a floor that was missed
    shown = [pair for pair in pairs if pair in (pairs[0], pairs[-1], *held[-1:])]
    return [row for pair in shown for row in pair]


async def _settled(url: str) -> None:
    """Until nothing of the rate before waits any more."""
    store = await open_store(url)
    try:
        until = time.monotonic() + 180
        while await store.fetch("SELECT 1 FROM inbox WHERE state = 'stored' LIMIT 1") and time.monotonic() < until:
            await asyncio.sleep(0.5)
    finally:
        await store.close()


async def _token(url: str) -> str:
    store = await open_store(url)
    try:
        return await access_token(store, "ecm-provider", LARGE)
    finally:
        await store.close()


def _at_rate(
    county: County,
    server: Server,
    url: str,
    hooks: Receiver,
    database: psutil.Process | None,
    rate: float,
    seconds: float,
    first: int,
) -> tuple[Row, Row]:
    """(to the commit of the alert, to the rest-hook)"""
    now_us, total = time.time_ns() // 1000, int(rate * seconds)
    half = county.members // 2
    texts = [admission((first + n) % half, first + n, now_us).decode("latin-1") for n in range(total)]
    before, database_before = server.cpu_us(), cpu_us(database) if database else 0.0
    order = {"kind": "mllp", "host": "127.0.0.1", "port": server.mllp_port, "connections": 16, "rate": rate}
    sender = begin({**order, "seconds": seconds, "requests": texts})
    end(sender)
    waits, stays = asyncio.run(_waits(url, first, total))
    what = f"{rate:.0f}/s for {seconds:.0f} s"
    row = _row(f"receipt to alert committed, {what}", waits, total, seconds)
    told = _row(f"receipt to the provider's rest-hook, {what}", _told(hooks, stays), total, seconds)
    row.server_us = (server.cpu_us() - before) / total
    row.database_us = ((cpu_us(database) if database else 0.0) - database_before) / total
    row.floor = f"p99 < {LAG_MS:,.0f} ms"
    row.reached = len(waits) == total and row.p99_ms is not None and row.p99_ms < LAG_MS
    return row, told


def _row(name: str, waits: Sequence[float], total: int, seconds: float) -> Row:
    row = Row(
        name, len(waits) / seconds, note="" if len(waits) == total else f"{total - len(waits)} of {total} missing"
    )
    if waits:
        row.p50_ms, row.p99_ms = waits[len(waits) // 2] / 1000, waits[int(len(waits) * 0.99)] / 1000
    return row


def _told(hooks: Receiver, stays: dict[str, int]) -> list[float]:
    """Microseconds from the receipt of each stay's message to the first notification of it, sorted; waits for them."""
    until, found = time.monotonic() + 30, dict[str, float]()
    while len(found) < len(stays) and time.monotonic() < until:
        time.sleep(0.5)
        for one in hooks.arrivals():
            for _, focus in one.events:
                if (stay := focus.rsplit("/", 1)[-1]) in stays:
                    found.setdefault(stay, one.at * 1_000_000 - stays[stay])
    return sorted(found.values())


async def _waits(url: str, first: int, total: int) -> tuple[list[int], dict[str, int]]:
    """(microseconds that each message waited, sorted; stay -> when it was received), once none waits or after 30 s.

    Until its Encounter, with which the alert is committed, has its number: that is given inside the commit.
    """
    store = await open_store(url)
    try:
        names, until = (f"B{first}", f"B{first + total}"), time.monotonic() + 30
        sql = (
            "SELECT v.vid, i.stay, i.received_us FROM inbox i "
            "JOIN version v ON v.rtype = 'Encounter' AND v.fhir_id = i.stay AND v.version = 1 "
            "WHERE i.state = 'applied' AND i.control_id >= ? AND i.control_id < ?"
        )
        count = "SELECT count(*) FROM inbox WHERE state = 'applied' AND control_id >= ? AND control_id < ?"
        while (await store.fetch(count, names))[0][0] < total and time.monotonic() < until:
            await asyncio.sleep(0.5)
        rows = await store.fetch(sql, names, heavy=True)
        return sorted(updated_us(row[0]) - row[2] for row in rows), {str(row[1]): int(row[2]) for row in rows}
    finally:
        await store.close()
