"""Who is told of an alert: lead care manager, cover by the calendar, the provider's inbox, the supervisor.

The calendar is FHIR's: CareTeam.participant.period and PractitionerRole.period say who stands in, and
PractitionerRole.notAvailable says who is away. The table is alert_routing.json. facts/adt.md 9.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from fhir_profiles import Resource
from service.access.context import Context, parse
from service.notify.notices import LIVE, TEAM_ROLE
from service.notify.persons import practitioner_of
from service.search.dates import MAX_US, MIN_US
from service.search.dates import parse as parse_date
from service.store import alert_work, identities, stays
from service.workflow.transitions_of_care import Recipient

LEAD, PROVIDER = "lead-care-manager", "ecm-provider"
TABLE = Path(__file__).parent / "alert_routing.json"


@lru_cache(maxsize=1)
def table() -> Mapping[str, Any]:
    found: Mapping[str, Any] = json.loads(TABLE.read_text("utf-8"))
    return found


def minutes_of(priority: str) -> int:
    """How long an alert waits for an answer before it goes on; 0: it does not."""
    return int(table()["minutes"].get(priority, 0))


async def recipients(ctx: Context, patient: str) -> list[Recipient]:
    """Who is told first, each with an alert of their own. Who is away now has it together with the cover."""
    leads = await stays.responsible(ctx.store, patient, LEAD, ctx.now_us)
    if not leads:
        providers = await stays.responsible(ctx.store, patient, PROVIDER, ctx.now_us)
        return [Recipient(reference) for reference in providers]
    found = []
    for reference in leads:
        one = Recipient(reference)
        if await is_away(ctx, reference):
            one = replace(one, also=tuple(await at_level(ctx, patient, "cover")))
        found.append(one)
    return found


async def at_once(ctx: Context, patient: str, kind: str) -> tuple[str, ...]:
    """Who hears of this kind beside the first recipients."""
    found = [one for level in table()["at_once"].get(kind, ()) for one in await at_level(ctx, patient, level)]
    return tuple(dict.fromkeys(found))


async def next_level(ctx: Context, patient: str, level: int, known: Iterable[str]) -> tuple[int, list[str]]:
    """The first level above this one with somebody who does not have the alert yet; (last level, []) where none is."""
    had = set(known)
    names = table()["levels"]
    for number in range(level + 1, len(names)):
        if new := [one for one in await at_level(ctx, patient, names[number]) if one not in had]:
            return number, new
    return len(names) - 1, []


async def at_level(ctx: Context, patient: str, name: str) -> list[str]:
    """References; name: one of `levels` of the table."""
    if name == "lead":
        return await stays.responsible(ctx.store, patient, LEAD, ctx.now_us)
    providers = await stays.responsible(ctx.store, patient, PROVIDER, ctx.now_us)
    if name == "provider":
        return providers
    if name == "cover" and (team := await _of_team(ctx, patient)):
        return team
    found = [one for each in providers for code in table()[name] for one in await _of_role(ctx, each, code)]
    return list(dict.fromkeys(found))


async def is_away(ctx: Context, reference: str) -> bool:
    """Whether a PractitionerRole of the person says notAvailable for this moment; `during` left out says nothing."""
    person = await practitioner_of(ctx.store, reference)
    if not person:
        return False
    bodies = await identities.practitioner_roles(ctx.store, ctx.store.keys, person)
    return any(
        one.get("during") and _now(one["during"], ctx.now_us)
        for body in bodies
        if (role := parse(body)).get("active") is not False
        for one in role.get("notAvailable") or ()
    )


async def _of_team(ctx: Context, patient: str) -> list[str]:
    codes = frozenset(table()["cover"])
    found = []
    for team in map(parse, await alert_work.care_teams(ctx.store, patient)):
        if team.get("status") not in LIVE or not _now(team.get("period"), ctx.now_us):
            continue
        for one in team.get("participant") or ():
            member = str((one.get("member") or {}).get("reference") or "")
            roles = _codes(one.get("role") or ())
            if member and codes & roles and _now(one.get("period"), ctx.now_us):
                found.append(member)
    return list(dict.fromkeys(found))


async def _of_role(ctx: Context, organization: str, code: str) -> list[str]:
    roles = map(parse, await alert_work.roles_at(ctx.store, organization, TEAM_ROLE, code))
    found = []
    for role in roles:
        person = str((role.get("practitioner") or {}).get("reference") or "")
        if person and role.get("active") is not False and _now(role.get("period"), ctx.now_us):
            found.append(person)
    return found


def _codes(concepts: Iterable[Resource]) -> frozenset[str]:
    codings = [coding for concept in concepts for coding in concept.get("coding") or ()]
    return frozenset(str(one.get("code")) for one in codings if one.get("system") == TEAM_ROLE)


def _now(period: Any, now_us: int) -> bool:
    """Whether a Period holds the moment; none at all does. One that cannot be read does not."""
    if not isinstance(period, dict):
        return True
    start, end = period.get("start"), period.get("end")
    try:
        return (parse_date(start)[0] if start else MIN_US) <= now_us < (parse_date(end)[1] if end else MAX_US)
    except ValueError:
        return False
