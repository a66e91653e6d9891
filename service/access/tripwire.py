"""The second wall: every resource that leaves is judged again, apart from the SQL that found it.

From the facts that its row carries (type, patient, labels, author) and from raw rows fetched by keys alone. Written
apart from service/store/visible.py; the two must agree, so what does not is a defect of ours: 500, a line in the log
that is an alarm, an audit row, and no data. Source: ../shared/facts/security.md 2.3 (2).
"""

from collections.abc import Collection, Iterable, Sequence

from service.access.consent.decide import decide
from service.access.consent.rules import Asker, Facts, Permit, Relation, Verdict
from service.access.context import Context
from service.caller import Role
from service.errors import Category, FhirError
from service.log_events import TRIPWIRE, log
from service.search.keys import edge
from service.search.restriction import Restriction, See
from service.store.change import AuditRow, Stale
from service.store.raw_facts import Asked, PanelFact, RawFacts, raw_facts
from service.store.read import Found

_PARTIES = {
    ("Task", "owner"),
    ("Task", "requester"),
    ("Task", "@candidate"),
    ("ServiceRequest", "requester"),
    ("ServiceRequest", "performer"),
    ("Communication", "sender"),
    ("Communication", "recipient"),
}
_NAMING = {rtype: {edge(rtype, code) for one, code in _PARTIES if one == rtype} for rtype, _ in _PARTIES}
"""type -> parameters by which a resource names its parties."""
_TEXT = "The request failed by our fault, and nothing was shown. Quote X-Request-Id to the operator."


class Moved(Stale):
    """What was found first is not judged alike now: a right may have ended in between, so it is decided again."""


async def check(ctx: Context, audit: Iterable[AuditRow]) -> None:
    """Judges what the rows say is shown. Raises Moved; where it was decided anew already, the alarm."""
    await check_found(ctx, [one for row in audit for one in row.shown])


async def check_found(ctx: Context, found: Sequence[Found]) -> None:
    """Before anything of these is shown, or decides what is answered."""
    seen = ctx.seen
    if seen.unrestricted or not found:
        return
    asked = [one for one in found if not _plain(one, seen)]
    if not asked:
        return
    facts = await raw_facts(ctx.store, asked_of(asked, seen))
    grace_us = ctx.settings.ecm_grace_days * 86_400_000_000 if ctx.caller.role in (Role.ECM_PROVIDER, Role.LCM) else 0
    wrong = [one for one in asked if not judged(one, facts, seen, grace_us)]
    if not wrong:
        return
    if not ctx.again:
        raise Moved("judged otherwise")
    log(TRIPWIRE, type=wrong[0].rtype, role=str(ctx.caller.role), resources=len(wrong), client=ctx.caller.client_id)
    raise FhirError(Category.INTERNAL, _TEXT, reason="tripwire")


def _plain(one: Found, seen: Restriction) -> bool:
    """What needs no look at the store: everyone's, or the caller's own."""
    rule = seen.types.get(one.rtype)
    return rule is See.OPEN or (rule is not None and one.source_org in seen.own)


def asked_of(found: Sequence[Found], seen: Restriction) -> Asked:
    return Asked(
        frozenset(one.patient for one in found if one.patient is not None),
        frozenset({*seen.subjects, *seen.own, *seen.actors}),
        frozenset(one.key for one in found),
        frozenset(one.key for one in found if one.rtype in _NAMING or seen.types.get(one.rtype) is See.VIEW),
    )


def judged(one: Found, facts: RawFacts, seen: Restriction, grace_us: int = 0) -> bool:
    """Whether the caller may have it; pure. grace_us: as in Context.for_reading, since what leaves is read."""
    rule = seen.types.get(one.rtype)
    if seen.unrestricted or rule is See.OPEN:
        return True
    if rule is None:
        return False
    if one.source_org in seen.own:
        return True
    if rule is See.OWN or one.patient is None:
        return False
    relation = _relation(one, rule, facts, seen, grace_us)
    return relation is not Relation.NONE and _consented(one, relation, facts, seen)


def relation_of(one: Found, facts: RawFacts, seen: Restriction, grace_us: int = 0) -> Relation:
    """How the caller stands to what belongs to a patient, Consents aside."""
    rule = seen.types.get(one.rtype)
    if rule is not None and one.source_org in seen.own:
        return Relation.AUTHOR
    if rule is None or one.patient is None:
        return Relation.NONE
    return _relation(one, rule, facts, seen, grace_us)


def _relation(one: Found, rule: See, facts: RawFacts, seen: Restriction, grace_us: int) -> Relation:
    rows = [row for row in facts.panel if row.patient == one.patient and row.role != "self"]
    if rule is See.VIEW:
        owned = [row for row in rows if row.role == "task-owner" and _stands(row, seen.now_us, 0)]
        return Relation.VIEW if _held(owned, seen) else Relation.NONE
    assigned = [row for row in rows if row.basis != "task" and _stands(row, seen.now_us, grace_us)]
    if rule is See.PANEL and _held(assigned, seen):
        return Relation.PANEL
    standing = [row for row in rows if _stands(row, seen.now_us, 0)]
    if rule in (See.PANEL, See.PARTY) and _held(standing, seen) and _named(one, facts, seen.subjects):
        return Relation.PANEL
    return Relation.NONE


def _held(rows: Sequence[PanelFact], seen: Restriction) -> bool:
    """By the organization for which the caller acts; by the person only beside it or what it is part of, or in an
    emergency."""
    mine = [row for row in rows if row.subject in seen.subjects]
    if any(row.subject in seen.own or row.basis == "break-glass" for row in mine):
        return True
    person = {*seen.subjects} - {*seen.own}
    acting = {*seen.own, *seen.actors} - person
    return bool(mine) and any(row.subject in acting for row in rows)


def counts(row: PanelFact, facts: RawFacts, seen: Restriction) -> bool:
    """Whether this row, of the caller, gives the caller its patient now."""
    beside = [one for one in facts.panel if one.patient == row.patient and (one.basis != "task" or row.basis == "task")]
    standing = [one for one in beside if one.role != "self" and _stands(one, seen.now_us, 0)]
    return row in standing and _held([row, *(one for one in standing if one.subject != row.subject)], seen)


def _stands(row: PanelFact, now: int, grace_us: int) -> bool:
    graced = grace_us if row.basis in ("episode", "care-team") else 0
    return row.start_us <= now < row.end_us + graced


def _named(one: Found, facts: RawFacts, subjects: Collection[int]) -> bool:
    """The resource names the caller, or a Task that asks for it does."""
    naming = _NAMING.get(one.rtype, set())
    if any((one.key, code, subject) in facts.edges for code in naming for subject in subjects):
        return True
    if one.rtype != "ServiceRequest":
        return False
    return any((one.key, code, subject) in facts.through for code in _NAMING["Task"] for subject in subjects)


def _consented(one: Found, relation: Relation, facts: RawFacts, seen: Restriction) -> bool:
    """As the Consents' rules say; a resource without label, of whom nobody wrote a rule, is free."""
    if not one.labels and not any(rule.patient == one.patient for rule in facts.rules):
        return True
    return isinstance(verdict_of(one, relation, facts, seen), Permit)


def verdict_of(one: Found, relation: Relation, facts: RawFacts, seen: Restriction) -> Verdict:
    rules = [rule for rule in facts.rules if rule.patient == one.patient]
    now = seen.now_us
    teams = {
        row.source
        for row in facts.panel
        if row.patient == one.patient and row.basis == "care-team" and row.subject in seen.actors
        and row.start_us <= now < row.end_us
    }  # fmt: skip
    asker = Asker(relation, frozenset({*seen.actors, *teams}), seen.purposes, now)
    refers_to = frozenset(data for data, key in facts.referred if key == one.key)
    referred_by = frozenset(data for data, key in facts.refers if key == one.key)
    known = Facts(one.key, one.rtype, one.patient, one.labels, one.source_org, refers_to, referred_by)
    return decide(asker, known, rules)
