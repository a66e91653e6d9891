"""The only commit in the tree: many Changes in one durable group, each whole or not at all.

`group` is a generator of Steps, so that the same decisions drive sqlite3 in its writer thread and asyncpg on the event
loop. Order: lock and read what the Changes relied on, drop the losers, then insert for the survivors only
(../shared/decisions.md 5, 6, 33, 34).
"""

from array import array
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Any

import orjson

from fhir_profiles.topics import watched
from service.clock import instant
from service.search.clearance import high_water
from service.search.keys import Keys
from service.store import revoked
from service.store.body import fill
from service.store.change import (
    AuditRow,
    Change,
    ClaimTaken,
    Committed,
    Stale,
    Statement,
    Write,
    Written,
)
from service.store.credentials import DIRECTORY
from service.store.index_removal import drop_index
from service.store.slots import Slot, updated_us
from service.store.steps import Collision, DeleteIn, FetchIn, Insert, Outcome, Rows, Run, Step

OPS = {True: 1, False: 2}


# --- the group ---------------------------------------------------------------------------------------------------


@dataclass
class _Head:
    version: int
    vid: int
    deleted: int
    labels: int


@dataclass
class _Plan:
    """What the survivors write, table by table."""

    written: dict[int, list[Written]] = field(default_factory=dict)
    rows: dict[str, Rows] = field(default_factory=dict)
    old_vids: list[int] = field(default_factory=list)
    new_heads: Rows = field(default_factory=list)
    moved_heads: Rows = field(default_factory=list)
    panel_sources: list[int] = field(default_factory=list)
    runs: list[tuple[str, Rows]] = field(default_factory=list)
    ended: Rows = field(default_factory=list)
    job_ids: dict[int, list[int]] = field(default_factory=dict)
    rules: dict[int, int] = field(default_factory=dict)

    def add(self, table: str, row: tuple[Any, ...]) -> None:
        self.rows.setdefault(table, []).append(row)

    def run(self, statements: Iterable[Statement]) -> None:
        """Those of one Change, in their order; what other Changes of the group run by the same text runs along."""
        at = 0
        for one in statements:
            at = next((n for n in range(at, len(self.runs)) if self.runs[n][0] == one.sql), len(self.runs))
            if at == len(self.runs):
                self.runs.append((one.sql, []))
            self.runs[at][1].append(one.params)


def group(
    changes: Sequence[Change], keys: Keys, slot: Slot, now_us: Callable[[], int]
) -> Generator[Step, Rows, list[Outcome]]:
    """Runs the Changes as one group. The caller wraps it in a transaction and restores `slot` if that fails."""
    lost: dict[int, set[int]] = {}
    heads, epochs, leases = yield from _read_relied(changes, keys, lost)
    outcomes: list[Outcome | None] = [_moved(change, keys, heads, epochs, leases) for change in changes]
    rivals = yield from _take_claims(changes, outcomes, now_us())
    plan = _Plan(rules=(yield from _label_rules(changes)))
    touched: set[object] = set()
    bumped: set[int] = set()
    give_back: list[int] = []
    for number, change in enumerate(changes):
        if outcomes[number] is not None:
            continue
        mine: set[object] = {keys.resource(write.reference) for write in [*change.writes, *change.reindexed]}
        mine |= {("job", lease.job_id) for lease in change.leases}
        relied = mine | {keys.resource(reference) for reference in change.relied}
        if relied & touched or (bumped & change.epochs.keys()):
            outcomes[number] = Stale("another change of the same group")
            give_back += [claim.key for claim in change.claims]
            continue
        touched |= mine
        bumped |= change.bump_epochs | lost.get(number, set())
        _plan_change(number, change, plan, keys, slot, heads, now_us())
        outcomes[number] = Committed(tuple(plan.written.get(number, ())), tuple(plan.job_ids.get(number, ())))
    if give_back:
        yield DeleteIn("claim", "key", sorted(give_back))
    yield from _write(plan, slot, bumped, now_us())
    for number, (key, other) in rivals.items():
        outcomes[number] = _after(key, changes[other], outcomes[other])
    return [outcome or Stale("not decided") for outcome in outcomes]


def _read_relied(
    changes: Sequence[Change], keys: Keys, lost: dict[int, set[int]]
) -> Generator[Step, Rows, tuple[dict[int, _Head], dict[int, int], dict[int, tuple[str, int]]]]:
    """Locks, in key order so that groups never deadlock, and reads heads, epochs and leases of the whole group.

    lost: filled with number of a Change -> patients whom somebody loses by it.
    """
    heads: dict[int, _Head] = {}
    wanted = sorted({keys.resource(r) for c in changes for r in [*c.relied, *_written(c)]})
    if wanted:
        for key, *facts in (yield FetchIn("resource", "key, version, vid, deleted, labels", "key", wanted)):
            heads[key] = _Head(*facts)
    if sources := revoked.sources(changes, keys):
        given: dict[int, list[revoked.Given]] = {}
        for row in (yield FetchIn("panel", revoked.COLUMNS, "source", sources)):
            given.setdefault(row[0], []).append(row)
        lost.update({n: patients for n, c in enumerate(changes) if (patients := revoked.losing(c, keys, given))})
    for number in (n for n, c in enumerate(changes) if revoked.of_directory(c)):
        lost.setdefault(number, set()).add(DIRECTORY)
    epochs: dict[int, int] = {}
    subjects = sorted({s for c in changes for s in [*c.epochs, *c.bump_epochs]} | set().union(*lost.values()))
    if subjects:
        fetch = FetchIn("access_epoch", "subject, epoch", "subject", subjects)
        epochs = dict((yield fetch))
        unborn = [(subject, 0) for subject in subjects if subject not in epochs]
        if unborn:
            # An absent row cannot be locked: another process could bump what this group relies on at the same moment.
            yield Insert("access_epoch", unborn, "ON CONFLICT (subject) DO NOTHING")
            epochs = dict((yield fetch))
    leases: dict[int, tuple[str, int]] = {}
    jobs = sorted({lease.job_id for c in changes for lease in c.leases})
    if jobs:
        leases = {row[0]: (row[1], row[2]) for row in (yield FetchIn("job", "id, state, lease", "id", jobs))}
    return heads, epochs, leases


def _label_rules(changes: Sequence[Change]) -> Generator[Step, Rows, dict[int, int]]:
    """Bits of the label rules that these writes meet: read here, so that no process commits under old ones."""
    keys = sorted({key for change in changes for write in change.writes for key in write.ruled})
    return dict((yield FetchIn("label_rule", "key, labels", "key", keys))) if keys else {}


def _written(change: Change) -> Iterable[str]:
    return (write.reference for write in [*change.writes, *change.reindexed])


def _moved(
    change: Change,
    keys: Keys,
    heads: dict[int, _Head],
    epochs: dict[int, int],
    leases: dict[int, tuple[str, int]],
) -> Stale | None:
    """What the Change relied on and no longer holds, if anything."""
    expected = [*change.relied.items(), *((w.reference, w.expect) for w in [*change.writes, *change.reindexed])]
    for reference, version in expected:
        head = heads.get(keys.resource(reference))
        if (head.version if head else 0) != version:
            return Stale(reference)
    for subject, epoch in change.epochs.items():
        if epochs.get(subject, 0) != epoch:
            return Stale("rights")
    for lease in change.leases:
        if leases.get(lease.job_id) != ("leased", lease.token):
            return Stale("lease")
    return None


def _take_claims(
    changes: Sequence[Change], outcomes: list[Outcome | None], now_us: int
) -> Generator[Step, Rows, dict[int, tuple[int, int]]]:
    """Inserts the claims of the survivors; who loses one gives back the others and fails alone.

    Returns the rivals within the group: number of a Change -> (key, number of the Change that came first for it).
    """
    first: dict[int, int] = {}
    rivals: dict[int, tuple[int, int]] = {}
    rows: Rows = []
    for number, change in enumerate(changes):
        if outcomes[number] is not None or not change.claims:
            continue
        taken = next((c for c in change.claims if c.key in first), None)
        if taken is not None:
            rivals[number] = (taken.key, first[taken.key])
            outcomes[number] = Stale("a claim of the same group")  # settled when the first one's outcome is known
            continue
        for claim in change.claims:
            first[claim.key] = number
            rows.append((claim.key, claim.holder, claim.expires_us))
    if not rows:
        return rivals
    won = yield Insert(
        "claim",
        sorted(rows),
        "ON CONFLICT (key) DO UPDATE SET holder = excluded.holder, expires_us = excluded.expires_us "
        "WHERE claim.expires_us <= ?",
        "key",
        (now_us,),
    )
    lost = first.keys() - {row[0] for row in won}
    if not lost:
        return rivals
    holders: dict[int, int] = dict((yield FetchIn("claim", "key, holder", "key", sorted(lost))))
    back: list[int] = []
    for number, change in enumerate(changes):
        mine = [c.key for c in change.claims if first.get(c.key) == number]
        gone = [key for key in mine if key in lost]
        if gone and outcomes[number] is None:
            outcomes[number] = ClaimTaken(gone[0], holders.get(gone[0], 0))
            back += [key for key in mine if key not in lost]
    if back:
        yield DeleteIn("claim", "key", back)
    return rivals


def _after(key: int, first: Change, outcome: Outcome | None) -> Outcome:
    """What the second contender for a claim hears: who holds it now; or Stale, where the first gave it back."""
    if isinstance(outcome, Committed):
        return ClaimTaken(key, next(claim.holder for claim in first.claims if claim.key == key))
    if isinstance(outcome, ClaimTaken) and outcome.key == key:
        return outcome
    return Stale("a claim of the same group")


def _plan_change(
    number: int, change: Change, plan: _Plan, keys: Keys, slot: Slot, heads: dict[int, _Head], now_us: int
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
        plan.ended.append((lease.state, lease.error, lease.job_id))
    plan.run(change.statements)
    wrote = _attributed(change.audit, plan.written.get(number, ())) if change.writes else {}
    for place, row in enumerate(change.audit):
        _plan_audit(_with_writes(row, wrote[place]) if place in wrote else row, plan, keys, slot, now_us)


def _plan_write(write: Write, plan: _Plan, keys: Keys, slot: Slot, heads: dict[int, _Head], now_us: int) -> Written:
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


def _plan_index(write: Write, plan: _Plan, vid: int) -> None:
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


def _plan_reindex(write: Write, plan: _Plan, vid: int) -> None:
    """The version stays: its former rows go and the new ones come in one transaction."""
    plan.old_vids.append(vid)
    _plan_index(write, plan, vid)
    kept = array("q", write.index.keys).tobytes()
    plan.run([Statement("UPDATE version SET keys = ? WHERE vid = ?", (kept, vid))])


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


def _plan_audit(row: AuditRow, plan: _Plan, keys: Keys, slot: Slot, now_us: int) -> None:
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


# Parents first. Index rows are sorted by key, so that concurrent groups lock in one order.
_ORDER = ("version", "outbox", "ix", "ix_date", "ix_str", "ix_num", "ref", "panel", "job", "audit", "audit_patient")
_ONCE = {
    "job": "ON CONFLICT (dedupe) DO NOTHING",
    "panel": "ON CONFLICT DO NOTHING",
    "audit_patient": "ON CONFLICT DO NOTHING",
}


def _write(plan: _Plan, slot: Slot, bumped: Iterable[int], now_us: int) -> Generator[Step, Rows, None]:
    if plan.new_heads:
        rows = sorted(plan.new_heads)
        made = yield Insert("resource", rows, "ON CONFLICT (key) DO NOTHING", "key")
        if len(made) != len(rows):
            raise Collision
    if plan.moved_heads:
        yield Run(
            "UPDATE resource SET vid = ?, version = ?, deleted = ?, patient = ?, labels = ?, source_org = ? "
            "WHERE key = ?",
            [(r[3], r[4], r[5], r[6], r[7], r[8], r[0]) for r in sorted(plan.moved_heads)],
        )
    if plan.ended:
        # Before the new jobs: one that has the dedupe of a job that ends here is its successor and no repeat of it.
        yield Run("UPDATE job SET state = ?, last_error = ?, dedupe = NULL, lease = 0 WHERE id = ?", plan.ended)
    if plan.old_vids:
        yield from drop_index(plan.old_vids)
    if plan.panel_sources:
        yield DeleteIn("panel", "source", sorted(plan.panel_sources))
    for table in _ORDER:
        planned = plan.rows.get(table)
        if planned:
            ordered = sorted(planned) if table.startswith(("ix", "ref", "panel")) else planned
            yield Insert(table, ordered, _ONCE.get(table, ""))
    for sql, params in plan.runs:
        yield Run(sql, params)
    epochs = [(subject, 1) for subject in sorted(bumped)]
    if epochs:
        yield Insert("access_epoch", epochs, "ON CONFLICT (subject) DO UPDATE SET epoch = access_epoch.epoch + 1")
