"""What the surviving Changes of a group write, row by row: versions, heads, index, jobs, audit (store/commit.py)."""

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Any

import orjson

from fhir_profiles.topics import watched
from service.clock import instant
from service.search.clearance import high_water
from service.search.keys import Keys
from service.store.body import fill
from service.store.change import AuditRow, Change, Statement, Write, Written
from service.store.slots import Slot, updated_us
from service.store.steps import Rows

OPS = {True: 1, False: 2}


@dataclass
class Head:
    version: int
    vid: int
    deleted: int
    labels: int


@dataclass
class Plan:
    """What the survivors write, table by table."""

    written: dict[int, list[Written]] = field(default_factory=dict)
    rows: dict[str, Rows] = field(default_factory=dict)
    old_vids: list[int] = field(default_factory=list)
    new_heads: Rows = field(default_factory=list)
    moved_heads: Rows = field(default_factory=list)
    panel_sources: list[int] = field(default_factory=list)
    rekeyed: Rows = field(default_factory=list)
    statements: list[list[Statement]] = field(default_factory=list)
    """Of each Change that has some."""
    ended: Rows = field(default_factory=list)
    job_ids: dict[int, list[int]] = field(default_factory=dict)
    rules: dict[int, int] = field(default_factory=dict)

    def add(self, table: str, row: tuple[Any, ...]) -> None:
        self.rows.setdefault(table, []).append(row)


def plan_change(
    number: int, change: Change, plan: Plan, keys: Keys, slot: Slot, heads: dict[int, Head], now_us: int
) -> None:
    for write in change.writes:
        plan.written.setdefault(number, []).append(_plan_write(write, plan, keys, slot, heads, now_us))
    for write in change.reindexed:
        _plan_reindex(write, plan, heads[keys.resource(write.reference)].vid)
    for job in change.jobs:
        slot.last_job = max(slot.last_job + 1, slot.vid(now_us))
        plan.job_ids.setdefault(number, []).append(slot.last_job)
        queue = job.kind.split(".", 1)[0]
        text = orjson.dumps(job.payload).decode()
        due = job.due_us or now_us
        job_row = (slot.last_job, queue, job.kind, job.ordering_key, due, "ready", 0, 0, job.dedupe, text, "")
        plan.add("job", job_row)
    for lease in change.leases:
        plan.ended.append((lease.state, lease.error, None, 0, lease.job_id))
    if change.statements:
        plan.statements.append(change.statements)
    wrote = _attributed(change.audit, plan.written.get(number, ())) if change.writes else {}
    for place, row in enumerate(change.audit):
        _plan_audit(_with_writes(row, wrote[place]) if place in wrote else row, plan, keys, slot, now_us)


def _plan_write(write: Write, plan: Plan, keys: Keys, slot: Slot, heads: dict[int, Head], now_us: int) -> Written:
    key = keys.resource(write.reference)
    head = heads.get(key)
    vid = slot.vid(now_us, head.vid if head else 0)
    version = (head.version if head else 0) + 1
    deleted = write.resource is None
    body = None if deleted else fill(write.hole, version, instant(updated_us(vid)))
    op = 3 if deleted else OPS[version == 1]
    kept = array("q", write.index.keys).tobytes()
    # A deletion stays as hidden as what it deleted: only they hear 410 who could read it.
    labels = head.labels if deleted and head else write.labels
    for rule in write.ruled:
        labels = high_water(labels | plan.rules.get(rule, 0))
    facts = (write.patient, labels, write.source_org)
    plan.add("version", (vid, key, write.rtype, write.fhir_id, version, op, *facts, kept, body))
    if write.rtype in watched():
        plan.add("outbox", (vid,))
    head_row = (key, write.rtype, write.fhir_id, vid, version, int(deleted), *facts)
    (plan.moved_heads if head else plan.new_heads).append(head_row)
    if head:
        if not head.deleted:
            plan.old_vids.append(head.vid)
        plan.panel_sources.append(key)
    _plan_index(write, plan, vid)
    for p in write.panel:
        plan.add("panel", (p.subject, p.patient, key, p.basis, p.role, p.start_us, p.end_us))
    return Written(write.reference, vid, version, body, labels)


def _plan_index(write: Write, plan: Plan, vid: int) -> None:
    for ix in write.index.keys:
        plan.add("ix", (ix, vid))
    for ix, lo, hi in write.index.dates:
        plan.add("ix_date", (ix, lo, vid, hi))
    for ix, value in write.index.strings:
        plan.add("ix_str", (ix, value, vid))
    for ix, low, high in write.index.numbers:
        plan.add("ix_num", (ix, low, vid, high))
    for param, target in write.index.edges:
        plan.add("ref", (param, target, vid))


def _plan_reindex(write: Write, plan: Plan, vid: int) -> None:
    """The version stays: its former rows go and the new ones come in one transaction."""
    plan.old_vids.append(vid)
    _plan_index(write, plan, vid)
    plan.rekeyed.append((array("q", write.index.keys).tobytes(), vid))


def _attributed(audit: Sequence[AuditRow], written: Iterable[Written]) -> dict[int, list[int]]:
    """Number of an audit row -> vids that its act wrote: of its target, else all that no other row of writing names.

    Provenance is rendered from it (service/interactions/provenance.py).
    """
    writing = [place for place, row in enumerate(audit) if row.action != "R" and row.outcome == 0]
    by_target = {audit[place].target: place for place in reversed(writing)}
    rest = next((place for place in writing if audit[place].action != "E"), writing[0] if writing else None)
    found: dict[int, list[int]] = {}
    for one in written:
        place = by_target.get(one.reference, rest)
        if place is not None:
            found.setdefault(place, []).append(one.vid)
    return found


def _with_writes(row: AuditRow, vids: list[int]) -> AuditRow:
    more = f'"w":{vids}'.replace(" ", "")
    return replace(row, detail=f"{row.detail[:-1]},{more}}}" if row.detail else f"{{{more}}}")


def _plan_audit(row: AuditRow, plan: Plan, keys: Keys, slot: Slot, now_us: int) -> None:
    """Appends to the hash chain of this slot: digest = SHA-256(previous digest, canonical row)."""
    slot.audit_seq += 1
    facts = (
        slot.number,
        slot.audit_seq,
        now_us,
        row.actor,
        row.organization,
        row.action,
        row.kind,
        row.outcome,
        row.target,
        " ".join(row.patients),
        row.request_id,
        row.reason,
        row.purpose,
    )
    # Rows without detail keep the digest that they had before the column was there.
    told = (*facts, row.detail) if row.detail else facts
    slot.audit_head = sha256(slot.audit_head + orjson.dumps(told)).digest()
    plan.add("audit", (*facts, slot.audit_head, row.detail or None))
    for patient in row.patients:
        plan.add("audit_patient", (keys.resource(patient), now_us, slot.number, slot.audit_seq))
