"""Entries of the directory that nobody verified for long: found, and their organizations asked to look at them.

The ask is a Task for the organization (review-task#verify-entry), one at a time for each service. It names no patient.
The organization writes its entry with a new enlace-verified date and completes the Task.
"""

from dataclasses import replace
from typing import Any

from fhir_profiles import Resource
from service.access.context import Context
from service.clock import instant
from service.store import tasks
from service.store.change import ABSENT, Change, Job, Stale
from service.workflow import derived
from service.workflow.directory_find import entries, page, told
from service.workflow.stay_identity import derived_id

SYSTEM = "https://enlace.example.org/fhir/CodeSystem/review-task"
CODE = "verify-entry"
DAYS = 180
"""After so long without a look an entry is stale: half a year, in which telephone numbers and hours change."""
MOST = 200
"""Services asked about in a day, the longest unverified first; and looked at in one job."""
DAY_US = 86_400_000_000
DUE_US = 30 * DAY_US
OPEN = ("requested", "accepted", "in-progress", "on-hold")
RULE = "stale-entry"
_WORDS = (
    "Your entry in the service directory was not verified for a long time. Read it, correct what changed, and write it "
    "with today's date in enlace-verified; then complete this Task."
)


async def services(ctx: Context, days: int, limit: int, *, untouched: bool = False) -> list[dict[str, str]]:
    """Active services that nobody verified for so many days, or ever; the longest ago first, at most `limit`.

    untouched: only those that were not written in that time either.
    """
    return [told(one) for one in await entries(ctx, _query(ctx, days, limit, untouched=untouched))]


def _query(ctx: Context, days: int, limit: int, *, untouched: bool) -> list[tuple[str, str]]:
    asked = [("active", "true"), ("stale", str(days)), ("_sort", "verified"), ("_count", str(min(limit, 200)))]
    if untouched:
        asked.append(("_lastUpdated", f"lt{instant(ctx.now_us - days * DAY_US)}"))
    return asked


async def ask(ctx: Context, found: list[dict[str, str]]) -> set[str]:
    """Opens a Task for each service that has none open; references of the services for which one is open now."""
    asked = set()
    for one in found:
        if not one["organization"].startswith("Organization/"):
            continue
        change = await _ask(replace(ctx, pending={}, known={}), one)
        try:
            if change.writes:
                await ctx.store.commit(change)
        except Stale:
            pass  # somebody asked at this moment
        asked.add(one["service"])
    return asked


async def look(ctx: Context, payload: dict[str, Any]) -> Change:
    """The job by the clock: one job for each service to ask about, so that each stands for itself. {"after", "left"}:
    goes on behind a page, past those who were asked and do nothing: they would else keep all others from being asked.
    """
    left = int(payload.get("left", MOST))
    found, then = await page(ctx, _query(ctx, DAYS, MOST, untouched=True), payload.get("after"))
    new = [told(one) for one in found]
    new = [one for one in new if one["organization"].startswith("Organization/") and not await _asked(ctx, one)][:left]
    jobs = [Job("directory.ask", dict(one), ordering_key=one["service"], dedupe=f"ask {one['service']}") for one in new]
    if then is not None and left > len(new):
        jobs.append(Job("directory.stale", {"after": list(then), "left": left - len(new)}))
    return Change(jobs=jobs)


async def _asked(ctx: Context, one: dict[str, str]) -> bool:
    """Once in 30 days, whatever became of it, and not while a Task about it is open."""
    if await ctx.resource(f"Task/{_id_of(ctx, one)}") is not None:
        return True
    return bool(await tasks.about(ctx.store, one["service"], OPEN))


def _id_of(ctx: Context, one: dict[str, str]) -> str:
    return "ve-" + derived_id(CODE, one["service"], str(ctx.now_us // DUE_US))


async def ask_one(ctx: Context, payload: dict[str, Any]) -> Change:
    one = {name: str(value) for name, value in payload.items()}
    return await _ask(ctx, one) if one["organization"].startswith("Organization/") else Change()


async def _ask(ctx: Context, one: dict[str, str]) -> Change:
    """Empty where the service is asked about already, or gone."""
    change = Change()
    service = await ctx.resource(one["service"])
    if service is None or await _asked(ctx, one):
        return change
    # In its own name: a Task about no patient is seen by nobody else than its author.
    owner = ctx.store.keys.resource(one["organization"])
    await derived.put(ctx, change, task(ctx, one), ABSENT, RULE, source_org=owner)
    return change


def task(ctx: Context, one: dict[str, str]) -> Resource:
    now = instant(ctx.now_us)
    return {
        "resourceType": "Task",
        "id": _id_of(ctx, one),
        "status": "requested",
        "intent": "order",
        "priority": "routine",
        "code": {"coding": [{"system": SYSTEM, "code": CODE}], "text": "Look at your entry in the directory"},
        "description": _WORDS,
        "focus": {"reference": one["service"], "display": one["name"]},
        "authoredOn": now,
        "lastModified": now,
        "requester": {"display": "Enlace, the service directory"},
        "owner": {"reference": one["organization"]},
        "restriction": {"period": {"end": instant(ctx.now_us + DUE_US)}},
    }
