"""An HSDS package into the directory: organizations, places, services, one Change each, and a report.

The same file twice changes nothing. An entry that was corrected here since the last import is not written over: the
report says so, and the importer decides. A record with errors is left out alone.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

from fhir_profiles import Resource
from fhir_profiles.validate import validate
from mappers.hsds import checks, convert
from mappers.hsds.elements import HSDS_IDS, Record
from mappers.hsds.lens import Names
from mappers.hsds.package import KINDS, Entry, Package
from mappers.plan_files.reports import Counts, report
from mappers.plan_files.rows import RowIssue
from service.access.context import Context, parse
from service.errors import FhirError
from service.search.syntax import ID
from service.store import directory
from service.store.change import Change, ClaimTaken, Stale
from service.store.directory import Standing
from service.workflow import derived

IN_FLIGHT = 32
"""Entries decided and committed at once: a group commit shares one fsync among them."""
TRIES = 10
RULE = "hsds-import"
Progress = Callable[[int], None]


@dataclass(frozen=True)
class Imported:
    """state: done, dry-run, failed (nothing could be taken). report: see mappers/plan_files/reports.py."""

    state: str
    report: dict[str, Any]

    @property
    def issues(self) -> list[RowIssue]:
        return [RowIssue(**issue) for issue in self.report["issues"]]


@dataclass
class _Work:
    """names: the entries that are taken, and so may be referred to."""

    ctx: Context
    system: str
    today: date
    dry: bool
    overwrite: bool
    references: dict[tuple[str, str], str] = field(default_factory=dict)
    ids: dict[str, str] = field(default_factory=dict)
    tally: Counter[str] = field(default_factory=Counter)
    issues: list[RowIssue] = field(default_factory=list)

    @property
    def names(self) -> Names:
        return Names(self.references, self.ids)


async def import_package(
    ctx: Context,
    package: Package,
    *,
    system: str = HSDS_IDS,
    today: date,
    dry: bool = False,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Imported:
    """ctx: of the service itself. system: of the identifiers that the records' ids are. Raises Unavailable."""
    work = _Work(ctx, system, today, dry, overwrite, issues=list(package.issues))
    for kind in KINDS:
        await _of_kind(work, kind, package.entries[kind], progress)
    rows = package.broken + sum(len(entries) for entries in package.entries.values())
    rejected = package.broken + work.tally["rejected"]
    counts = Counts(
        rows=rows,
        accepted=rows - rejected,
        rejected=rejected,
        created=work.tally["created"],
        updated=work.tally["updated"],
        unchanged=work.tally["unchanged"],
    )
    work.issues.sort(key=lambda issue: (issue.row, issue.column))
    failed = any(problem.severity == "error" for problem in package.problems) or (rows and not counts.accepted)
    told = report(work.issues, counts, package.problems)
    return Imported("failed" if failed else "dry-run" if dry else "done", told)


async def _of_kind(work: _Work, kind: str, entries: dict[str, Entry], progress: Progress | None) -> None:
    rows: Iterator[Entry] = iter(entries.values())

    async def worker() -> None:
        for entry in rows:  # one iterator for all: between two awaits nobody else takes from it
            outcome = await _entry(work, kind, entry)
            work.tally[outcome] += 1
            if progress:
                progress(work.tally.total())

    workers = [asyncio.ensure_future(worker()) for _ in range(min(IN_FLIGHT, len(entries)))]
    try:
        await asyncio.gather(*workers)
    finally:
        for one in workers:
            one.cancel()
        await asyncio.gather(*workers, return_exceptions=True)


async def _entry(work: _Work, kind: str, entry: Entry) -> str:
    """created, updated, unchanged or rejected; findings go to work.issues."""
    found = checks.problems(kind, entry.record, entry.number) or list(_unknown(work, kind, entry))
    work.issues += found
    if any(issue.severity == "error" for issue in found):
        return "rejected"
    work.issues += _ended(work, kind, entry)
    for attempt in range(TRIES):
        change, outcome = await _decide(work, kind, entry)
        if work.dry or not change.writes:
            return outcome
        try:
            await work.ctx.store.commit(change)
            return outcome
        except (Stale, ClaimTaken):
            await asyncio.sleep(random.random() * 0.004 * 2**attempt)
    work.issues.append(_issue(kind, entry, "", "busy", "the entry kept changing meanwhile: import again"))
    return "rejected"


def _unknown(work: _Work, kind: str, entry: Entry) -> Iterator[RowIssue]:
    """References to what is neither in the file nor could be taken."""
    owner = entry.record.get("organization_id")
    if kind == "service" and ("organization", str(owner)) not in work.references:
        words = "its organization is not among those that were taken: add it, or mend its errors"
        yield _issue(kind, entry, "organization_id", "unknown-organization", words)
    for number, at in enumerate(entry.record.get("service_at_locations", ())):
        if ("location", str(at.get("location_id"))) not in work.references:
            words = "this location is not among those that were taken: the service is stored without it"
            member = f"service_at_locations[{number}].location_id"
            yield replace(_issue(kind, entry, member, "unknown-location", words), severity="warning")


def _ended(work: _Work, kind: str, entry: Entry) -> Iterator[RowIssue]:
    for number, schedule in enumerate(entry.record.get("schedules", ())):
        if str(schedule.get("valid_to") or schedule.get("until") or "9999") < work.today.isoformat():
            words = "this schedule has ended and is no hours here: take it out of the file"
            yield replace(_issue(kind, entry, f"schedules[{number}]", "ended", words), severity="warning")


async def _decide(work: _Work, kind: str, entry: Entry) -> tuple[Change, str]:
    """The Change of a record, empty where nothing is to be written."""
    ctx = replace(work.ctx, pending={}, known={})
    record, rtype = entry.record, convert.RTYPES[kind]
    at = await _standing(work, rtype, kind, record)
    if at is None:
        words = "several entries have this id as identifier: take it from all but one"
        work.issues.append(_issue(kind, entry, "id", "ambiguous", words))
        return Change(), "rejected"
    current = parse(at.body) if at.body is not None else None
    ours = current is not None and at.fhir_id == record["id"]
    reference = f"{rtype}/{at.fhir_id}"
    work.references[kind, record["id"]], work.ids[reference] = reference, record["id"]
    if current is not None and (left := _left_alone(work, kind, entry, current, ours=ours)):
        return Change(), left
    new = convert.laid_over(kind, record, current or {**_new(rtype), "id": at.fhir_id}, work.names, work.system)
    if problems := validate(new, rtype):
        del work.references[kind, record["id"]]
        work.issues += [_issue(kind, entry, p.expression, "fhir", p.diagnostics) for p in problems[:5]]
        return Change(), "rejected"
    change = Change()
    owner = _owner(ctx, new) if current is None else None
    try:
        await derived.put(ctx, change, new, at.version, RULE, source_org=owner)
    except FhirError as error:
        work.issues += [_issue(kind, entry, i.expression or "", "refused", i.diagnostics) for i in error.issues[:5]]
        return Change(), "rejected"
    return change, "updated" if current is not None else "created"


def _left_alone(work: _Work, kind: str, entry: Entry, current: Resource, *, ours: bool) -> str:
    """Whether the record says nothing new, or the entry was corrected here meanwhile. ours: made here, and exported."""
    before, touched = convert.imported(current)
    said = convert.digest(entry.record)
    if said == before or said == convert.digest(convert.standing_of(current, work.names, work.system)):
        return "unchanged"
    if (ours if not before else touched) and not work.overwrite:
        done = "corrected here since the last import" if before else "made here"
        words = f"the entry was {done} and stays as it is: --overwrite takes the file's word"
        work.issues.append(replace(_issue(kind, entry, "", "corrected", words), severity="warning"))
        return "unchanged"
    return ""


async def _standing(work: _Work, rtype: str, kind: str, record: Record) -> Standing | None:
    """The entry that the record is; None where that is not clear. What was made here is exported under its own id."""
    found = await directory.bearers(work.ctx.store, rtype, work.system, record["id"])
    if len(found) > 1:
        return None
    if found:
        return found[0]
    if work.system == HSDS_IDS and ID.fullmatch(record["id"]):
        own = await directory.standing(work.ctx.store, rtype, record["id"])
        if own.body is not None and convert.hsds_id(parse(own.body), work.system) == record["id"]:
            return own
    return await directory.standing(work.ctx.store, rtype, convert.id_of(kind, record["id"], work.system))


def _new(rtype: str) -> Resource:
    live: dict[str, Resource] = {"Organization": {"active": True}, "Location": {"status": "active"}}
    return {"resourceType": rtype, **live.get(rtype, {})}


def _owner(ctx: Context, resource: Resource) -> int:
    """In whose name a new entry is written: the organization that it describes, so that it may correct it."""
    named = resource.get("providedBy") or resource.get("managingOrganization") or {}
    own = f"Organization/{resource['id']}" if resource["resourceType"] == "Organization" else named.get("reference")
    return ctx.store.keys.resource(own) if own else ctx.organization_key


def _issue(kind: str, entry: Entry, member: str, rule: str, words: str) -> RowIssue:
    return RowIssue(entry.number, f"{kind}.{member}" if member else kind, rule, words)
