"""The only commit in the tree: many Changes in one durable group, each whole or not at all.

`group` is a generator of Steps, so that the same decisions drive sqlite3 in its writer thread and asyncpg on the event
loop. Order: lock and read what the Changes relied on, drop the losers, then insert for the survivors only
(../shared/decisions.md 5, 6, 33, 34).
"""

from collections.abc import Callable, Generator, Iterable, Sequence
from typing import Any

from service.search.keys import Keys
from service.store import revoked
from service.store.change import Change, ClaimTaken, Committed, Stale
from service.store.commit_plan import Head, Plan, plan_change
from service.store.credentials import DIRECTORY
from service.store.index_removal import index_removal
from service.store.slots import Slot
from service.store.statement_runs import sent
from service.store.steps import (
    Collision,
    DeleteIn,
    Epochs,
    Fetches,
    FetchIn,
    Insert,
    Outcome,
    Part,
    Rows,
    Step,
    Together,
    Update,
)


def group(
    changes: Sequence[Change], keys: Keys, slot: Slot, now_us: Callable[[], int]
) -> Generator[Step, Any, list[Outcome]]:
    """Runs the Changes as one group. The caller wraps it in a transaction and restores `slot` if that fails."""
    lost: dict[int, set[int]] = {}
    heads, epochs, leases = yield from _read_relied(changes, keys, lost)
    outcomes: list[Outcome | None] = [_moved(change, keys, heads, epochs, leases) for change in changes]
    rivals = yield from _take_claims(changes, outcomes, now_us())
    survivors = [change for change, outcome in zip(changes, outcomes, strict=True) if outcome is None]
    rules, kept = yield from _read_current(survivors, keys, heads)
    plan = Plan(rules=rules)
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
        plan_change(number, change, plan, keys, slot, heads, now_us())
        outcomes[number] = Committed(tuple(plan.written.get(number, ())), tuple(plan.job_ids.get(number, ())))
    if give_back:
        yield DeleteIn("claim", "key", sorted(give_back))
    yield from _write(plan, kept, bumped)
    for number, (key, other) in rivals.items():
        outcomes[number] = _after(key, changes[other], outcomes[other])
    return [outcome or Stale("not decided") for outcome in outcomes]


def _read_relied(
    changes: Sequence[Change], keys: Keys, lost: dict[int, set[int]]
) -> Generator[Step, Any, tuple[dict[int, Head], dict[int, int], dict[int, tuple[str, int]]]]:
    """Locks and reads heads, epochs and leases of the whole group, in this order and each in order of key.

    Groups so wait for each other, and never deadlock. Heads and epochs go together, but where a panel row may go:
    whose epoch that bumps is known once the heads are locked.
    lost: filled with number of a Change -> patients whom somebody loses by it.
    """
    wanted = FetchIn(
        "resource",
        "key, version, vid, deleted, labels",
        "key",
        sorted({keys.resource(r) for c in changes for r in [*c.relied, *_written(c)]}),
    )
    held: Rows | None = None
    if sources := revoked.sources(changes, keys):
        held = yield wanted
        given: dict[int, list[revoked.Given]] = {}
        for row in (yield FetchIn("panel", revoked.COLUMNS, "source", sources)):
            given.setdefault(row[0], []).append(row)
        lost.update({n: patients for n, c in enumerate(changes) if (patients := revoked.losing(c, keys, given))})
    for number in (n for n, c in enumerate(changes) if revoked.of_directory(c)):
        lost.setdefault(number, set()).add(DIRECTORY)
    subjects = sorted({s for c in changes for s in [*c.epochs, *c.bump_epochs]} | set().union(*lost.values()))
    jobs = sorted({lease.job_id for c in changes for lease in c.leases})
    leases = FetchIn("job", "id, state, lease", "id", jobs)
    if held is None:
        held, counts, leased = yield from _fetched(wanted, Epochs(subjects), leases)
    else:
        counts, leased = yield from _fetched(Epochs(subjects), leases)
    return {key: Head(*facts) for key, *facts in held}, dict(counts), {row[0]: (row[1], row[2]) for row in leased}


def _fetched(*parts: FetchIn | Epochs) -> Generator[Step, Any, list[Rows]]:
    """Rows of each part, in one round trip; for what names nothing nobody is asked."""
    asked = tuple(part for part in parts if part.values)
    answers = iter((yield Fetches(asked)) if asked else ())
    return [next(answers) if part.values else [] for part in parts]


def _read_current(
    changes: Sequence[Change], keys: Keys, heads: dict[int, Head]
) -> Generator[Step, Any, tuple[dict[int, int], dict[int, bytes | None]]]:
    """Bits of the label rules that the writes meet, and the index keys of the versions that they replace, by vid.

    Read behind the locks: no process commits under old rules because it waited.
    """
    rules = sorted({rule for change in changes for write in change.writes for rule in write.ruled})
    replaced = {heads[key].vid for change in changes for r in _written(change) if (key := keys.resource(r)) in heads}
    found, kept = yield from _fetched(
        FetchIn("label_rule", "key, labels", "key", rules), FetchIn("version", "vid, keys", "vid", sorted(replaced))
    )
    return dict(found), dict(kept)


def _written(change: Change) -> Iterable[str]:
    return (write.reference for write in [*change.writes, *change.reindexed])


def _moved(
    change: Change,
    keys: Keys,
    heads: dict[int, Head],
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
) -> Generator[Step, Any, dict[int, tuple[int, int]]]:
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


# Parents first. Rows are sorted by what another group may insert too, so that concurrent groups wait in one order:
# the only such key is the dedupe of a job; all others are numbered by this slot or hang on a head that we hold.
_ORDER = ("version", "outbox", "ix", "ix_date", "ix_str", "ix_num", "ref", "panel", "job", "audit", "audit_patient")
_ONCE = {
    "job": "ON CONFLICT (dedupe) DO NOTHING",
    "panel": "ON CONFLICT DO NOTHING",
    "audit_patient": "ON CONFLICT DO NOTHING",
}
_DEDUPE = 8
_HEAD = ("vid", "version", "deleted", "patient", "labels", "source_org")
_ENDED = ("state", "last_error", "dedupe", "lease")


def _write(plan: Plan, kept: dict[int, bytes | None], bumped: Iterable[int]) -> Generator[Step, Any, None]:
    if parts := list(_heads(plan, kept)):
        made = yield Together(tuple(parts))
        if len(made) != len(plan.new_heads):
            raise Collision
    if inserts := list(_inserts(plan, bumped)):
        yield Together(tuple(inserts))
    yield from sent(plan.statements)


def _heads(plan: Plan, kept: dict[int, bytes | None]) -> Iterable[Part]:
    """The heads, and what goes with the versions and jobs that end. Only new heads can wait for another group."""
    if plan.new_heads:
        yield Insert("resource", sorted(plan.new_heads), "ON CONFLICT (key) DO NOTHING", "key")
    if plan.moved_heads:
        yield Update("resource", _HEAD, "key", [(*r[3:], r[0]) for r in sorted(plan.moved_heads)])
    if plan.ended:
        # Before the new jobs: one that has the dedupe of a job that ends here is its successor and no repeat of it.
        yield Update("job", _ENDED, "id", plan.ended)
    if plan.old_vids:
        yield from index_removal(plan.old_vids, kept)
    if plan.panel_sources:
        yield DeleteIn("panel", "source", sorted(plan.panel_sources))
    if plan.rekeyed:
        yield Update("version", ("keys",), "vid", plan.rekeyed)


def _inserts(plan: Plan, bumped: Iterable[int]) -> Iterable[Part]:
    for table in _ORDER:
        if rows := plan.rows.get(table):
            if table == "job":
                rows.sort(key=lambda row: row[_DEDUPE] or "")
            yield Insert(
                table, sorted(rows) if table.startswith(("ix", "ref", "panel")) else rows, _ONCE.get(table, "")
            )
    if epochs := [(subject, 1) for subject in sorted(bumped)]:
        bump = "ON CONFLICT (subject) DO UPDATE SET epoch = access_epoch.epoch + 1"
        yield Insert("access_epoch", epochs, bump)
