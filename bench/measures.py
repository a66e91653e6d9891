"""Measures of referrals over many of them: how long one evaluation takes, with all its stratifiers, and of one month.

The history is made up by SQL: opened, accepted, in progress, closed, asked about later; four events each.
"""

import asyncio
import time

from bench.results import Row
from service.store.engine import Store, open_store
from service.store.measures import Period, Whose
from service.store.slots import vid_at
from service.workflow.measure_definitions import shipped
from service.workflow.measure_evaluation import Question, evaluate

YEARS, DAY_US = 3, 86_400_000_000
FIRST_US = 1_672_531_200_000_000  # 2023-01-01
PAGE = 10_000
ASKED = ("referrals-made", "service-received", "days-to-accept")
_COLUMNS = (
    "id, task, request, parent, kind, at_us, was, status, business, reason, need, service, patient, requester, owner, "
    "plan, member, vid, labels"
)
_NEXT = "SELECT i + 1 FROM n WHERE i"
_KINDS = (
    ("opened", "", "requested", "", 0, "1 = 1"),
    ("moved", "requested", "accepted", "", 1, "n.i % 10 < 8"),
    ("moved", "accepted", "in-progress", "", 3, "n.i % 10 < 6"),
    ("moved", "in-progress", "completed", "services-received", 20, "n.i % 10 < 5"),
    ("moved", "accepted", "cancelled", "not-eligible", 9, "n.i % 10 IN (6, 7)"),
    ("moved", "requested", "rejected", "other", 2, "n.i % 10 = 8"),
    ("follow-up", "", "", "still-receiving", 220, "n.i % 20 = 1"),
)


def measure(url: str, *, referrals: int) -> list[Row]:
    return asyncio.run(_measure(url, referrals))


async def _measure(url: str, referrals: int) -> list[Row]:
    store = await open_store(url)
    try:
        began = time.monotonic()
        for first in range(0, referrals, PAGE):
            await _page(store, first, min(first + PAGE, referrals), referrals)
        if store.db.name == "postgresql":
            await store.db.execute("VACUUM ANALYZE referral_event")
            await store.db.execute("VACUUM ANALYZE member_trait")
        print(f"{store.db.name}: {referrals:,} referrals made up in {time.monotonic() - began:.0f} s", flush=True)
        last = FIRST_US + YEARS * 366 * DAY_US
        spans = (("all", FIRST_US, last), ("a month", FIRST_US + 360 * DAY_US, FIRST_US + 390 * DAY_US))
        return [
            await _one(store, name, f"{name} of {words}, {referrals:,} referrals", Period(start, end, last))
            for words, start, end in spans
            for name in ASKED
        ]
    finally:
        await store.close()


async def _one(store: Store, name: str, words: str, period: Period) -> Row:
    took, found = [], None
    for _ in range(3 if "month" in words else 1):
        began = time.perf_counter()
        found = await evaluate(store, Question(shipped()[name], period, Whose(everything=True)))
        took.append(time.perf_counter() - began)
    counted = next(iter(found.groups.values()))["", ""].cell.counts[0][1] if found else 0
    return Row(f"measure {words}", p50_ms=sorted(took)[len(took) // 2] * 1000, note=f"{counted:,} counted")


async def _page(store: Store, first: int, last: int, total: int) -> None:
    """Referrals [first, last) with their events, and the members that they are of."""
    members, step = max(total // 10, 1), YEARS * 365 * DAY_US // total
    width = 2**64 // members
    numbers = f"WITH RECURSIVE n(i) AS (VALUES (CAST({first} AS BIGINT)) UNION ALL {_NEXT} < {last - 1})"
    member = f"((n.i * 7919) % {members})"
    for place, (kind, was, status, reason, days, share) in enumerate(_KINDS):
        at = f"{FIRST_US} + n.i * {step} + ({days} * 24 + (n.i * 31) % ({days} * 12 + 1)) * 3600000000"
        values = (
            f"n.i * 8 + {place}, 't' || ((n.i * 7919) % 1000003) || '-' || n.i, 'r' || n.i, '', '{kind}', {at}, "
            f"'{was}', '{status}', '', '{reason}', 'need-' || (n.i % 9), "
            "CASE WHEN n.i % 4 = 0 THEN '' ELSE 'service-' || (n.i % 15) END, "
            f"'Patient/p' || {member}, 'Organization/r' || (n.i % 40), 'Organization/o' || (n.i % 400), "
            f"'Organization/plan-' || (n.i % 4), ({member} - {members // 2}) * {width}, 0, 0"
        )
        await _insert(store, f"referral_event ({_COLUMNS})", numbers, values, share)
    values = f"(n.i - {members // 2}) * {width}, {vid_at(FIRST_US)}, 'race-' || (n.i % 6), 'e-' || (n.i % 3), "
    values += "'l-' || (n.i % 8)"
    await _insert(store, "member_trait (member, vid, race, ethnicity, language)", numbers, values, f"n.i < {members}")


async def _insert(store: Store, into: str, numbers: str, values: str, where: str) -> None:
    await store.db.execute(" ".join(("INSERT INTO", into, numbers, "SELECT", values, "FROM n WHERE", where)))
