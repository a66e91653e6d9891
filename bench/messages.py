"""ADT measurements: durable acknowledgements, message to visible alert, and a full queue drained."""

import asyncio
import http.client
import json
import time
from pathlib import Path
from typing import Any

import psutil

from bench.county import HOSPITALS, County, admission
from bench.processes import Server, begin, cpu_us, drive, end, service
from bench.results import Row
from service import log_events
from service.interactions.receive_hl7v2 import Receiver
from service.store.engine import Store, open_store
from service.store.slots import EPOCH_US

ACKS_FLOOR, VISIBLE_FLOOR_MS, DRAIN_FLOOR = 2000.0, 1000.0, 300.0
RATE = 50
POLL_S = 0.02
FIRST_ACK, FIRST_DRAIN = 1_000_000, 2_000_000
"""Message numbers, so that no measurement repeats the messages of another."""


def acknowledgements(
    county: County, url: str, folder: Path, database: psutil.Process | None, *, seconds: float, rounds: int
) -> list[Row]:
    """Against the listener alone: what a sender waits for is the commit to the inbox. Its jobs are thrown away."""
    rows = []
    number = FIRST_ACK
    with service(url, folder, "adt-listener") as server:
        server.port = server.mllp_port
        for senders, most in ((8, 9000), (1, 3000)):
            measured = []
            for _ in range(rounds):
                texts = [_text(county, number + n) for n in range(int(most * (seconds + 0.5)))]
                number += len(texts)
                order = {"kind": "mllp", "requests": texts, "warm_s": 0.3, "seconds": seconds, "connections": senders}
                measured.append(drive(order, server, database))
            best = sorted(measured, key=lambda m: m.result["per_s"])[len(measured) // 2]
            answers = sorted({code for m in measured for code in m.result["statuses"]})
            if answers != ["AA"]:
                raise SystemExit(f"ACKs: expected AA only, got {answers}")
            row = Row(f"durable ACKs, {senders} sender{'s' if senders > 1 else ''}, window 1", best.result["per_s"])
            row.p50_ms, row.p99_ms = best.result["p50_ms"], best.result["p99_ms"]
            row.server_us, row.database_us = best.server_us, best.database_us
            if senders == 8:
                row.floor, row.reached = f">= {ACKS_FLOOR:,.0f}/s", best.result["per_s"] >= ACKS_FLOOR
            rows.append(row)
    asyncio.run(_forget_jobs(url))
    return rows


def _text(county: County, number: int) -> str:
    member = number % (county.members // 2)
    return admission(member, number, time.time_ns() // 1000).decode("latin-1")


async def _forget_jobs(url: str) -> None:
    store = await open_store(url)
    await store.db.execute("DELETE FROM job")
    await store.close()


def visible(county: County, server: Server, database: psutil.Process | None, *, seconds: float) -> Row:
    """Admissions at 50/s; an alert counts when an HTTP search by its care provider returns it."""
    total = int(RATE * seconds)
    now_us = time.time_ns() // 1000
    texts = [admission(member, member, now_us).decode("latin-1") for member in range(total)]
    before, database_before = server.cpu_us(), cpu_us(database) if database else 0.0
    sender = begin(
        {
            "kind": "mllp",
            "host": "127.0.0.1",
            "port": server.mllp_port,
            "connections": 8,
            "rate": RATE,
            "seconds": seconds,
            "requests": texts,
        }
    )
    seen = _poll(county, server, total, seconds + 30)
    result = end(sender)
    waits = sorted(seen[n] - result["sent_us"][n] for n in range(total) if n in seen)
    row = Row(f"message to visible alert, {RATE}/s for {seconds:.0f} s")
    row.per_s = len(waits) / result["seconds"]
    if waits:
        row.p50_ms, row.p99_ms = waits[len(waits) // 2] / 1000, waits[int(len(waits) * 0.99)] / 1000
    row.server_us = (server.cpu_us() - before) / total
    row.database_us = ((cpu_us(database) if database else 0.0) - database_before) / total
    row.floor = f"p99 < {VISIBLE_FLOOR_MS:,.0f} ms"
    row.reached = len(waits) == total and row.p99_ms is not None and row.p99_ms < VISIBLE_FLOOR_MS
    row.note = "" if len(waits) == total else f"{total - len(waits)} of {total} never seen"
    return row


def _poll(county: County, server: Server, total: int, longest_s: float) -> dict[int, int]:
    """Member -> wall time in us at which a search first returned the alert about it."""
    seen: dict[int, int] = {}
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    path = "/fhir/Communication?_sort=-_lastUpdated&_count=50"
    headers = {"Authorization": f"Bearer {county.large_token}"}
    until = time.monotonic() + longest_s
    while len(seen) < total and time.monotonic() < until:
        connection.request("GET", path, headers=headers)
        body = connection.getresponse().read()
        now = time.time_ns() // 1000
        for entry in json.loads(body).get("entry", ()):
            member = int(entry["resource"].get("subject", {}).get("reference", "/m-1").partition("/m")[2])
            seen.setdefault(member, now)
        time.sleep(POLL_S)
    connection.close()
    return seen


def drained(
    county: County, url: str, folder: Path, database: psutil.Process | None, *, total: int, sources: int
) -> Row:
    """A queue that waits when the service starts, until its last alert is committed; the start is not counted."""
    first = FIRST_DRAIN * (1 + sources)
    asyncio.run(_queue(county, url, first, total, sources))
    with service(url, folder) as server:
        before, database_before = server.cpu_us(), cpu_us(database) if database else 0.0
        found = asyncio.run(_wait_until_done(url, first, total))
        used = server.cpu_us() - before
        database_us = (cpu_us(database) if database else 0.0) - database_before
    row = Row(f"queue of {total:,} admissions to alerts, {sources} source{'s' if sources > 1 else ''}")
    row.per_s = found["handled"] / found["seconds"]
    row.server_us, row.database_us = used / total, database_us / total
    if sources > 1:
        row.floor, row.reached = f">= {DRAIN_FLOOR:,.0f}/s", row.per_s >= DRAIN_FLOOR
    if found["alerts"] < total:
        row.note, row.reached = f"only {found['alerts']} alerts", False
    return row


async def _queue(county: County, url: str, first: int, total: int, sources: int) -> None:
    store = await open_store(url)
    log_events.configure("json", "warning")
    receiver = Receiver(store)
    texts = []
    for n in range(total):
        number = first + (n if sources > 1 else n * 8)
        texts.append(
            admission(number // (1 if sources > 1 else 8) % (county.members // 2), number, store.clock.now_us())
        )
    for at in range(0, total, 100):
        await asyncio.gather(*(receiver.receive(text) for text in texts[at : at + 100]))
    await store.close()


async def _wait_until_done(url: str, first: int, total: int) -> dict[str, Any]:
    """Reads progress twice a second: the first and the last instant at which a message was decided."""
    store = await open_store(url)
    try:
        until = time.monotonic() + 120
        while time.monotonic() < until:
            sql = "SELECT count(*) FROM job WHERE state IN ('ready', 'leased') AND due_us <= ?"
            rows = await store.fetch(sql, (store.clock.now_us(),))
            if rows[0][0] == 0:
                break
            await asyncio.sleep(0.5)
        return await _progress(store, first, total)
    finally:
        await store.close()


async def _progress(store: Store, first: int, total: int) -> dict[str, Any]:
    names = (f"B{first}", f"B{first + total * HOSPITALS}")
    rows = await store.fetch(
        "SELECT count(*), min(handled_us), max(handled_us) FROM inbox WHERE state = 'applied' AND control_id >= ? "
        "AND control_id <= ? AND length(control_id) = length(?)",
        (*names, names[0]),
    )
    handled, low, high = rows[0]
    alerts = await store.fetch(
        "SELECT count(*) FROM resource WHERE rtype = 'Communication' AND vid >= ?", ((low - EPOCH_US) << 12,)
    )
    return {"handled": handled, "seconds": max((high - low) / 1e6, 0.001), "alerts": int(alerts[0][0])}
