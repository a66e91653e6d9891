"""One row of a plan file -> one Change: Patient, Coverage, EpisodeOfCare and CareTeam with the panel that follows.

decisions.md 5, 9, 17: decided without a transaction; the CIN's claim and the patient's access epoch see to it that two
imports at once neither make two Patients of one CIN nor two Coverages of one plan.
"""

import asyncio
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date

from fhir_profiles import Resource
from mappers.plan_files.layout import Layout
from mappers.plan_files.member_resources import CIN_SYSTEM, Refs, to_resources
from mappers.plan_files.member_row import MemberRow
from mappers.plan_files.merge import changed, merge
from mappers.plan_files.rows import RowIssue
from service.access.context import Context, parse
from service.access.new_version import new_version
from service.store import plan_files
from service.store.change import ABSENT, Change, Claim, ClaimTaken, Stale
from service.store.plan_files import Bearer
from service.workflow.member_directory import Directory, Plan, Resolved
from service.workflow.member_records import Assignment, Record, assignment, ended, keep_manager, payors
from service.workflow.steps import Step, run_after, run_before

TRIES = 10


@dataclass(frozen=True)
class RowWork:
    """What all rows of one file share. headers: field -> header as in the file. dry: decide, write nothing."""

    ctx: Context
    plan: Plan
    layout: Layout
    directory: Directory
    today: date
    headers: dict[str, str] = field(default_factory=dict)
    dry: bool = False
    digest: str = ""
    """SHA-256 of the file, for Provenance."""


@dataclass(frozen=True)
class RowResult:
    """outcome: created, updated or unchanged (the member), or rejected."""

    outcome: str
    issues: tuple[RowIssue, ...] = ()


async def apply_row(work: RowWork, member: MemberRow) -> RowResult:
    """Decides and commits; decides again where others wrote meanwhile, at most TRIES times."""
    issues: list[RowIssue] = []
    provider = await work.directory.provider(member.provider_npi)
    if provider.reference is None:
        return RowResult("rejected", (_issue(work, member, provider),))
    manager = await work.directory.manager(member, provider.reference)
    if manager.rule:
        issues.append(_issue(work, member, manager))
    for attempt in range(TRIES):
        change, outcome = await decide(work, member, provider.reference, manager.reference, issues)
        if work.dry or not change.writes:
            return RowResult(outcome, tuple(issues))
        try:
            await work.ctx.store.commit(change)
            return RowResult(outcome, tuple(issues))
        except (Stale, ClaimTaken):
            await asyncio.sleep(random.random() * 0.004 * 2**attempt)
    words = "this member's record kept changing while the row was written: import again with --again"
    return RowResult("rejected", (*issues, RowIssue(member.row, "", "record-busy", words)))


async def decide(
    work: RowWork, member: MemberRow, provider: str, manager: str | None, issues: list[RowIssue]
) -> tuple[Change, str]:
    """The Change of a row (no writes: nothing is new) and what it does to the member."""
    store, change = work.ctx.store, Change()
    claim = store.keys.of("cin", member.cin)
    index_key = store.keys.token("Patient", "identifier", CIN_SYSTEM, member.cin)
    found = await plan_files.bearers(store, "Patient", index_key, claim)
    patient = _member_record(found)
    patient_id = patient.reference.partition("/")[2] if patient else work.ctx.new_id()
    if not any(bearer.claimed for bearer in found):
        change.claims.append(Claim(claim, store.keys.resource(f"Patient/{patient_id}")))
        if sum(not bearer.deleted for bearer in found) > 1:
            _several(work, member, issues)
    known = await _assignment(work, patient, provider, member) if patient else Assignment()
    refs = _refs(work, patient_id, known, provider, manager)
    for record, told in zip(_current(patient, known), to_resources(member, refs), strict=True):
        await _write(work, change, record, _laid_over(record, told, member))
    for record in known.left:
        await _write(work, change, record, ended(record.resource, work.today, member.ecm_start))
    if not change.writes:
        return Change(), "unchanged"
    if patient and any(write.rtype != "Patient" for write in change.writes):
        change.epochs[patient.key] = patient.epoch
        change.bump_epochs.add(patient.key)
    created = patient is None or patient.deleted
    reference = f"Patient/{patient_id}"
    came = {"organization": work.plan.reference, "file_sha256": work.digest, "row": member.row}
    change.audit.append(
        work.ctx.audit("C" if created else "U", "file-row", reference, (reference,), detail={"source": came})
    )
    return change, "created" if created else "updated"


def _member_record(found: list[Bearer]) -> Bearer | None:
    """The one that holds the CIN, else the oldest; a deleted holder is brought back rather than doubled."""
    living = [bearer for bearer in found if not bearer.deleted]
    return next(iter([*living, *found]), None)


async def _assignment(work: RowWork, patient: Bearer, provider: str, member: MemberRow) -> Assignment:
    keys, plan = work.ctx.store.keys, work.plan.reference
    stored = [
        Record(parse(row.body), row.version, row.source_org)
        for row in await plan_files.records(work.ctx.store, patient.key)
    ]
    paying = {p for r in stored if r.resource["resourceType"] == "Coverage" for p in payors(r.resource)}
    others = frozenset(keys.resource(reference) for reference in paying - {plan})
    plan_key = work.ctx.organization_key
    return assignment(
        stored, plan=plan, plan_key=plan_key, other_plans=others, provider=provider, start=member.ecm_start
    )


def _refs(work: RowWork, patient_id: str, known: Assignment, provider: str, manager: str | None) -> Refs:
    ids = [record.id if record else work.ctx.new_id() for record in (known.coverage, known.episode, known.team)]
    return Refs(work.plan.reference, provider, manager, patient_id, *ids)


def _current(patient: Bearer | None, known: Assignment) -> Iterator[Record | None]:
    """What is stored of each of the four resources of a row, in the order of to_resources."""
    if patient and patient.body is not None:
        yield Record(parse(patient.body), patient.version, patient.source_org)
    elif patient:
        yield Record({}, patient.version, patient.source_org)
    else:
        yield None
    yield from (known.coverage, known.episode, known.team)


def _laid_over(record: Record | None, told: Resource, member: MemberRow) -> Resource:
    if record is None or not record.resource:
        return told
    return merge(record.resource, keep_manager(told, record.resource, member))


async def _write(work: RowWork, change: Change, record: Record | None, new: Resource) -> None:
    """Adds the new version, unless it says what is stored already."""
    old = record.resource if record and record.resource else None
    if old is not None and not changed(old, new):
        return
    ctx = work.ctx
    step = Step(ctx, "update" if old else "create", new, old, change)
    await run_before(step)
    change.writes.append(
        new_version(
            step.new,
            record.version if record else ABSENT,
            ctx.store.keys,
            source_org=record.source_org if record else ctx.organization_key,
            now_us=ctx.now_us,
            base_url=ctx.settings.base_url,
        )
    )
    await run_after(step)


def _issue(work: RowWork, member: MemberRow, found: Resolved) -> RowIssue:
    column = work.headers.get(found.field) or work.layout.by_name[found.field].headers[0]
    return RowIssue(member.row, column, found.rule, found.message, found.severity)


def _several(work: RowWork, member: MemberRow, issues: list[RowIssue]) -> None:
    if not any(issue.rule == "several-records" for issue in issues):
        column = work.headers.get("cin") or work.layout.by_name["cin"].headers[0]
        words = "several records bear this CIN: the oldest was taken, review and merge the others"
        issues.append(RowIssue(member.row, column, "several-records", words, "warning"))
