"""HTTP measurements in interleaved rounds, each as a ratio to the static route of the same round."""

import json
import random
from statistics import median
from typing import Any

import psutil

from bench.api_requests import request, requests_of_the_api
from bench.county import LARGE, OWNER, County, task
from bench.processes import Measured, Server, drive
from bench.results import Row

CONNECTIONS = 32
QUERY = f"/fhir/Task?owner={OWNER}&status=requested,accepted&_sort=-_lastUpdated"


def targets(county: County) -> dict[str, tuple[list[str], str]]:
    """name -> (requests, expected status)"""
    rng = random.Random(1)
    half = county.members // 2
    reads = [request("GET", f"/fhir/CarePlan/c{rng.randrange(county.plans)}", county.large_token) for _ in range(2000)]
    creates = []
    for number in range(500):
        made = task(number, rng.randrange(half), LARGE, OWNER, "requested")
        del made["id"]
        creates.append(request("POST", "/fhir/Task", county.large_token, json.dumps(made).encode()))
    return {
        "static": (["GET /static HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"], "200"),
        "read": (reads, "200"),
        "create": (creates, "201"),
        "queue search": ([request("GET", QUERY, county.large_token)], "200"),
        "queue search, 0.1% caller": ([request("GET", QUERY, county.small_token)], "200"),
        "status search, 0.1% caller": ([request("GET", "/fhir/Task?status=requested", county.small_token)], "200"),
        **requests_of_the_api(county),
    }


FLOORS = {"read": 0.35, "create": 0.15}
"""Lowest ratio to static."""
SEARCH_P99_MS = 50.0


def measure(
    county: County,
    server: Server,
    static: Server,
    database: psutil.Process | None,
    *,
    rounds: int,
    seconds: float,
    only: str = "",
) -> list[Row]:
    """The rows of one database, static first."""
    asked = targets(county)
    if only:
        asked = {name: what for name, what in asked.items() if name == "static" or only in name}
    found: dict[str, list[Measured]] = {name: [] for name in asked}
    alone: dict[str, list[Measured]] = {name: [] for name in asked}
    for _ in range(rounds):
        for name, (requests, status) in asked.items():
            where, db = (static, None) if name == "static" else (server, database)
            order = {"kind": "http", "requests": requests, "warm_s": 0.3, "seconds": seconds}
            found[name].append(_checked(drive(order | {"connections": CONNECTIONS}, where, db), name, status))
            if "search" in name:
                alone[name].append(_checked(drive(order | {"connections": 1}, where, db), name, status))
    base = [m.result["per_s"] for m in found["static"]]
    rows = [_row(name, measured, base) for name, measured in found.items()]
    rows += [
        _row(f"{name}, 1 connection", measured, base, latency=True) for name, measured in alone.items() if measured
    ]
    return rows


def _checked(measured: Measured, name: str, status: str) -> Measured:
    others = {code: count for code, count in measured.result["statuses"].items() if code != status}
    if others or not measured.count:
        raise SystemExit(f"{name}: expected {status} only, got {measured.result['statuses']}")
    return measured


def _row(name: str, measured: list[Measured], base: list[float], *, latency: bool = False) -> Row:
    def middle(key: str) -> float:
        return float(median(m.result[key] for m in measured))

    ratio = float(median(m.result["per_s"] / b for m, b in zip(measured, base, strict=True)))
    floor: dict[str, Any] = {}
    if name in FLOORS:
        floor = {"floor": f"ratio >= {FLOORS[name]}", "reached": ratio >= FLOORS[name]}
    elif latency:
        floor = {"floor": f"p99 < {SEARCH_P99_MS:.0f} ms", "reached": middle("p99_ms") < SEARCH_P99_MS}
    return Row(
        name,
        per_s=middle("per_s"),
        ratio=None if latency else ratio,
        p50_ms=middle("p50_ms"),
        p99_ms=middle("p99_ms"),
        server_us=float(median(m.server_us for m in measured)),
        database_us=float(median(m.database_us for m in measured)),
        **floor,
    )
