"""Which stored records a plan file's row is about, and which assignments it ends. Pure: no I/O, no clock.

Map: facts/california.md C rows 2, 5, 6, 11; https://hl7.org/fhir/R4/episodeofcare.html. A plan speaks for its own
records and for those of providers; what another plan of the same member wrote is never touched.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from fhir_profiles import Resource
from mappers.plan_files.member_row import MemberRow
from service.access.panels import LIVE_EPISODE, LIVE_TEAM

_ECM_ROLES = frozenset({"lead-care-manager", "ecm-provider"})


@dataclass(frozen=True)
class Record:
    """A stored resource with the version that a new one replaces and the organization (key) that wrote the first."""

    resource: Resource
    version: int
    source_org: int

    @property
    def id(self) -> str:
        return str(self.resource["id"])


@dataclass(frozen=True)
class Assignment:
    """The stored records that the row goes on writing (None: a new one), and those whose time is over."""

    coverage: Record | None = None
    episode: Record | None = None
    team: Record | None = None
    left: tuple[Record, ...] = ()


def assignment(
    stored: Sequence[Record],
    *,
    plan: str,
    plan_key: int,
    other_plans: frozenset[int],
    provider: str,
    start: date | None,
) -> Assignment:
    """plan, provider: Organization/id. other_plans: keys of the other payors of this member. start: of ECM, by the row.

    An ECM episode or team of another provider is over: were it left active, its provider would keep the member.
    """
    mine = [r for r in stored if r.source_org == plan_key or r.source_org not in other_plans]
    coverages = [r for r in _of(stored, "Coverage") if plan in payors(r.resource)]
    episodes = [r for r in _of(mine, "EpisodeOfCare") if _is_ecm(r.resource)]
    teams = [r for r in _of(mine, "CareTeam") if _is_ecm_team(r.resource)]
    episode = _best([e for e in episodes if provider in _managing(e.resource)], LIVE_EPISODE, plan_key, start)
    team = _best([t for t in teams if provider in _managing(t.resource)], LIVE_TEAM, plan_key, start)
    left = [e for e in episodes if e is not episode and e.resource.get("status") in LIVE_EPISODE]
    left += [t for t in teams if t is not team and t.resource.get("status") in LIVE_TEAM]
    return Assignment(_best(coverages, frozenset({"active"}), plan_key, None), episode, team, tuple(left))


def payors(coverage: Resource) -> tuple[str, ...]:
    return tuple(p["reference"] for p in coverage.get("payor") or () if p.get("reference"))


def ended(resource: Resource, today: date, next_start: date | None) -> Resource:
    """An EpisodeOfCare or CareTeam closed on the day the next provider starts, at the latest today."""
    last = min(today, next_start or today).isoformat()
    period = dict(resource.get("period") or {})
    start, end = str(period.get("start", "")), str(period.get("end", ""))
    last = max(min(end, last) if end else last, start)  # per-1: never before the start
    if resource["resourceType"] == "CareTeam":
        status = "inactive"
    else:
        status = "finished" if resource.get("status") in ("active", "onhold") else "cancelled"
    return {**resource, "status": status, "period": {**period, "end": last}}


def keep_manager(told: Resource, stored: Resource, member: MemberRow) -> Resource:
    """A file that cannot say who the lead care manager is leaves the person whom the provider named."""
    if member.lcm_npi or member.lcm_email:
        return told
    if told["resourceType"] == "EpisodeOfCare" and (stored.get("careManager") or {}).get("reference"):
        return {name: value for name, value in told.items() if name != "careManager"}
    if told["resourceType"] == "CareTeam" and any(map(_is_named_lead, stored.get("participant") or ())):
        return {name: value for name, value in told.items() if name != "participant"}
    return told


def _of(records: Iterable[Record], rtype: str) -> list[Record]:
    return [record for record in records if record.resource["resourceType"] == rtype]


def _best(found: list[Record], live: frozenset[str], plan_key: int, start: date | None) -> Record | None:
    """The live one before the closed, the plan's own before another's, then the oldest."""
    fitting = [r for r in found if r.resource.get("status") in live or not _over(r.resource, start)]
    ranked = sorted(fitting, key=lambda r: (r.resource.get("status") not in live, r.source_org != plan_key))
    return ranked[0] if ranked else None


def _over(resource: Resource, start: date | None) -> bool:
    """A closed record that ended before the row's ECM began: the member came back, and that is a new episode."""
    end = (resource.get("period") or {}).get("end", "")
    return resource.get("status") == "entered-in-error" or bool(start and end and str(end)[:10] < start.isoformat())


def _managing(resource: Resource) -> tuple[str, ...]:
    value: Any = resource.get("managingOrganization") or []
    return tuple(o["reference"] for o in (value if isinstance(value, list) else [value]) if o.get("reference"))


def _codes(concepts: object) -> set[str]:
    listed = concepts if isinstance(concepts, list) else []
    return {c.get("code", "") for concept in listed for c in concept.get("coding") or ()}


def _is_ecm(episode: Resource) -> bool:
    return "ecm" in _codes(episode.get("type"))


def _is_ecm_team(team: Resource) -> bool:
    return any(_codes(p.get("role")) & _ECM_ROLES for p in team.get("participant") or ())


def _is_named_lead(participant: Resource) -> bool:
    named = (participant.get("member") or {}).get("reference")
    return bool(named) and "lead-care-manager" in _codes(participant.get("role"))
