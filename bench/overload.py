"""Three times the capacity: goodput, what is turned away, how long those wait who are served."""

import json
import random

import psutil

from bench.county import County
from bench.http_rounds import CONNECTIONS, QUERY, request
from bench.processes import Server, drive
from bench.results import Row

TIMES = 3
FLOOR = 0.8
CALLERS = 700
"""Connections of the crowd: more than the process lets in (ENLACE_MAX_IN_FLIGHT)."""


def mixture(token: str, plans: int, patients: int, count: int = 2000) -> list[str]:
    """Seven reads, two work-queue searches, one create in ten."""
    rng = random.Random(7)
    made = []
    for number in range(count):
        if number % 10 == 0:
            body = {
                "resourceType": "Observation",
                "status": "final",
                "code": {"text": "overload"},
                "subject": {"reference": f"Patient/m{rng.randrange(patients)}"},
            }
            made.append(request("POST", "/fhir/Observation", token, json.dumps(body).encode()))
        elif number % 5 == 0:
            made.append(request("GET", f"{QUERY}&_count=10", token))
        else:
            made.append(request("GET", f"/fhir/CarePlan/c{rng.randrange(plans)}", token))
    rng.shuffle(made)
    return made


def measure(county: County, server: Server, database: psutil.Process | None, *, seconds: float) -> list[Row]:
    requests = mixture(county.large_token, county.plans, county.members // 2)
    closed = {"kind": "http", "requests": requests, "warm_s": 1.0, "seconds": min(seconds, 5.0)}
    before = drive(closed | {"connections": CONNECTIONS}, server, database)
    peak = before.result["per_s"]
    flood = {"kind": "open", "requests": requests, "rate": TIMES * peak, "seconds": seconds, "connections": CALLERS}
    under = drive(flood, server, database)
    found = under.result["statuses"]
    turned = found.get("503", 0)
    note = f"of {under.result['sent']:,} sent {turned:,} were answered 503, {under.result['unsent']:,} found all busy"
    others = {code: n for code, n in found.items() if code not in ("200", "201", "503")}
    share = under.result["per_s"] / peak
    return [
        Row("mixture at its peak", per_s=peak, p50_ms=before.result["p50_ms"], p99_ms=before.result["p99_ms"]),
        Row(
            f"mixture at {TIMES} times that",
            per_s=under.result["per_s"],
            p50_ms=under.result["p50_ms"],
            p99_ms=under.result["p99_ms"],
            floor=f">= {FLOOR} of the peak",
            reached=share >= FLOOR and not others,
            note=f"{share:.2f}; {note}{f'; also {others}' if others else ''}",
        ),
    ]
