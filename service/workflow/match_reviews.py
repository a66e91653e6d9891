"""Reviews of matches: what a person must look at, who decided, and what follows: the stay is decided anew (adt.settle).

Where evidence contradicts itself two persons decide: the first proposes, another one agrees (facts/adt.md section 5).
"""

from dataclasses import dataclass, replace
from typing import Any

from mappers.hl7v2.event import AdtEvent
from service.access.context import Context
from service.store import epochs, matches, reviews, stay_rows, waiting_terms
from service.store.change import Change, Job, Statement
from service.store.matches import NOBODY, OTHER, SAME, Number, number_subject, stay_subject
from service.store.reviews import CLAIMED, Review
from service.workflow import timers
from service.workflow.match_evidence import compare
from service.workflow.member_match import Match
from service.workflow.record_numbers import numbers_of
from service.workflow.stay_world import message_of, person_key

DUE_US = 4 * 3_600_000_000
"""An alert that waits for a review must still be told within a day of the event."""
CONFLICTS = frozenset(
    {"panel-conflict", "cin-conflict", "mrn-conflict", "identifier-conflict", "possible-twin",
     "stay-of-another-member", CLAIMED}
)  # fmt: skip
ALWAYS = CONFLICTS | {"ambiguous"}
"""Reasons that a person looks at, however likely it is that a member is meant."""
QUIET = frozenset({"matched", "decided", "nobody", "identity-unknown", "placeholder-name"})
LIKELY = 6.0
"""Bits (match_likelihood.py) from which the others are looked at. A stranger who shares a surname and a birth date with
a member has about 3."""
VERDICTS = ("link", "nobody", "unlink")
STATE = {"link": "linked", "nobody": "nobody", "unlink": "unlinked"}


class NotDecided(Exception):
    """Why a decision cannot be taken so: one sentence with the remedy."""


def opened(ctx: Context, stay: str, inbox_id: int, source: str, match: Match) -> list[Statement]:
    """What an unmatched message leaves behind: by what a later roster finds it and, where it is worth it, a review."""
    if match.patient_ref is not None:
        return []
    made = waiting_terms.put(ctx.store, inbox_id, [("wait", w.kind, w.value, w.scope) for w in match.wanted])
    if not stay or match.reason in QUIET or not (match.reason in ALWAYS or match.score >= LIKELY):
        return made
    made += reviews.open_or_update(_new(ctx, stay, inbox_id, source, match.reason, evidence_of(match)))
    return [*made, timers.review_opened(ctx, stay)]


def settled(stay: str, now_us: int) -> list[Statement]:
    """The stay found its member without a person. What somebody asked for in spite of a match stays open."""
    return [reviews.settled(stay, now_us), timers.review_ended(stay, now_us)]


def evidence_of(match: Match) -> dict[str, Any]:
    """As it is kept: words and references, no value of either side."""
    ranked = [{"patient": r.patient_ref, "score": r.score, "words": list(r.words)} for r in match.ranked]
    return {"words": list(match.evidence), "candidates": ranked}


async def decide(ctx: Context, review_id: int, verdict: str, patient: str, by: str, note: str = "") -> Change:
    """verdict: link (to `patient`), nobody, unlink (from `patient`; "": whoever has the stay). Raises NotDecided.

    by: who decides. On a conflict the first word is a proposal; the same from another person is the decision.
    """
    review = await reviews.by_id(ctx.store, review_id)
    if review is None:
        raise NotDecided(f"There is no review {review_id}: see `enlace adt match list`.")
    return await _decide(ctx, review, verdict, patient, by, note)


async def second(ctx: Context, review_id: int, by: str) -> Change:
    """Agrees with what the first person proposed."""
    review = await reviews.by_id(ctx.store, review_id)
    if review is None or not review.decided_by or review.state != "open":
        raise NotDecided(f"Nothing is proposed on review {review_id}: see `enlace adt match show {review_id}`.")
    return await decide(ctx, review_id, review.verdict, review.patient, by, review.note)


async def decide_stay(ctx: Context, stay: str, verdict: str, patient: str, by: str, note: str = "") -> Change:
    """As decide, for a stay: its open review, or one that is made for the purpose."""
    facts = await _facts(ctx, stay)
    for key in dict.fromkeys([stay, facts.main, *facts.keys]):
        for review in await reviews.of_stay(ctx.store, key):
            if review.state == "open":
                return await _decide(ctx, review, verdict, patient, by, note)
    if not facts.inbox_id:
        raise NotDecided(f"There is no stay {stay}: see `enlace adt inbox`.")
    if verdict == "unlink":
        return await not_my_member(ctx, stay, patient or next(iter(facts.patients), ""), by)
    made = _new(ctx, stay, facts.inbox_id, facts.source, "asked", {"words": [], "candidates": []})
    change = Change(statements=[*reviews.open_or_update(made), timers.review_opened(ctx, made.stay)])
    return change.merge(await _decide(ctx, made, verdict, patient, by, note))


async def not_my_member(ctx: Context, stay: str, patient: str, by: str) -> Change:
    """Somebody says that the stay is not this member's: it stays where it is until a second person agrees.

    stay: the id of its Encounter, or any key of it; one review comes of it.
    """
    facts, change = await _relied(ctx, stay)
    if patient not in facts.patients:
        raise NotDecided("This stay is not this member's: there is nothing to take back.")
    made = _new(ctx, facts.main, facts.inbox_id, facts.source, CLAIMED, {"words": ["person=other"], "candidates": []})
    change.statements += reviews.claimed(replace(made, verdict="unlink", patient=patient, decided_by=by))
    change.statements.append(timers.review_opened(ctx, made.stay))
    change.audit.append(_audit(ctx, "match-proposed", made, "unlink", patient, by))
    return change


@dataclass(frozen=True)
class _Facts:
    """What the stored messages of a stay say for a decision: whose it is now, and its record numbers."""

    main: str
    keys: tuple[str, ...]
    patients: tuple[str, ...]
    numbers: tuple[Number, ...]
    inbox_id: int
    source: str
    conflicting: bool = False


async def _facts(ctx: Context, stay: str, patient: str = "") -> _Facts:
    """conflicting: whether a message of the stay contradicts the record of `patient`."""
    main, keys = await waiting_terms.keys_of_stay(ctx.store, stay)
    rows = await stay_rows.messages(ctx.store, keys)
    read = [message_of(row).event for row in rows]
    patients = tuple(dict.fromkeys(row.patient for row in rows if row.patient))
    numbers = tuple(dict.fromkeys(n for event in read for n in numbers_of(event)))
    record = await ctx.resource(patient) if patient else None
    seen = [compare(event, record[0]) for event in read] if record else []
    conflicting = any(
        "differ" in (e.birth_date, e.cin, e.sex) or (e.family == "differ" and e.given == "differ") or e.twin
        for e in seen
    )
    newest = rows[-1].inbox_id if rows else 0
    source = read[-1].source if read else ""
    return _Facts(main, tuple(keys), patients, numbers, newest, source, conflicting)


async def _decide(ctx: Context, review: Review, verdict: str, patient: str, by: str, note: str) -> Change:
    patient = patient if verdict != "nobody" else ""
    await _check(ctx, review, verdict, patient, by)
    facts, change = await _relied(ctx, review.stay, patient if verdict == "link" else "")
    if verdict == "unlink" and not patient:
        patient = facts.patients[0] if len(facts.patients) == 1 else ""
        if not patient:
            raise NotDecided("Say from whom: the stay has no member, or more than one.")
    agreed = (review.verdict, review.patient) == (verdict, patient) and review.decided_by not in ("", by)
    if _needs_two(review, verdict, patient, facts) and not agreed:
        if review.decided_by == by and (review.verdict, review.patient) == (verdict, patient):
            raise NotDecided("This is proposed already: another person must agree, with `enlace adt match second`.")
        change.statements.append(reviews.propose(review.id, verdict, patient, by, note))
        change.audit.append(_audit(ctx, "match-proposed", review, verdict, patient, by))
        return change
    first, other = (review.decided_by, by) if agreed else (by, "")
    ended = replace(review, state=STATE[verdict], decided_us=ctx.now_us, decided_by=first, second_by=other)
    change.statements.append(reviews.close(replace(ended, patient=patient, verdict=verdict, note=note)))
    change.statements.append(timers.review_ended(review.stay, ctx.now_us))
    change.statements += _decisions(ctx, review, verdict, patient, by, facts)
    change.jobs += await _jobs(ctx, review.stay, facts, patient)
    change.audit.append(_audit(ctx, "match-decided", review, verdict, patient, by))
    return change


async def _check(ctx: Context, review: Review, verdict: str, patient: str, by: str) -> None:
    if verdict not in VERDICTS:
        raise NotDecided(f"A decision is one of {', '.join(VERDICTS)}.")
    if not by.strip():
        raise NotDecided("Say who decides.")
    if review.state != "open":
        raise NotDecided(f"Review {review.id} is closed ({review.state}): decide on the stay itself, {review.stay}.")
    if verdict == "link" and (not patient.startswith("Patient/") or await ctx.resource(patient) is None):
        raise NotDecided("Link to a member that there is: Patient/ID, as in `enlace adt match show`.")


def _needs_two(review: Review, verdict: str, patient: str, facts: _Facts) -> bool:
    """One person may say that a claim is wrong: the evidence had said so before."""
    if review.reason == CLAIMED and verdict == "link" and facts.patients == (patient,):
        return False
    return review.reason in CONFLICTS or facts.conflicting or verdict == "unlink"


def _decisions(ctx: Context, review: Review, verdict: str, patient: str, by: str, facts: _Facts) -> list[Statement]:
    """Rows for the stay and for its record numbers, so that the next stay under them is decided too."""
    subject, made = stay_subject(review.stay), list[Statement]()

    def say(subject: str, patient: str, word: str) -> None:
        made.extend(matches.decide(subject, patient, word, by=by, now_us=ctx.now_us, review=review.id))

    if verdict == "link":
        say(subject, patient, SAME)
        for number in facts.numbers:
            say(number_subject(number), patient, SAME)
        return made
    if verdict == "nobody":
        say(subject, "", NOBODY)
    known = [str(one["patient"]) for one in review.evidence.get("candidates", ())]
    for wrong in [patient] if verdict == "unlink" else dict.fromkeys([*known, *facts.patients]):
        say(subject, wrong, OTHER)
        for number in facts.numbers:
            say(number_subject(number), wrong, OTHER)
            made.append(matches.end_link(number, wrong, ctx.now_us))
    return made


async def _jobs(ctx: Context, stay: str, facts: _Facts, patient: str) -> list[Job]:
    """The stay, and the others that rest on the same numbers: those that wait, and those of the members concerned."""
    others = list[str]()
    for whose in dict.fromkeys([patient, *facts.patients]):
        if whose:
            others += await stays_of_numbers(ctx, whose, facts.numbers)
    waiting = [("wait", "mrn", number[1], number[0]) for number in facts.numbers]
    others += await waiting_terms.stays(ctx.store, waiting)
    return [settle_job(one) for one in dict.fromkeys([stay, *others])]


async def stays_of_numbers(ctx: Context, patient: str, numbers: tuple[Number, ...]) -> list[str]:
    """Stays of a member in which one of these record numbers was told."""
    found = dict[str, None]()
    for stay, event in await waiting_terms.events_of(ctx.store, patient):
        if set(numbers_of(AdtEvent.from_json(event))) & set(numbers):
            found[stay] = None
    return list(found)


def settle_job(stay: str) -> Job:
    """Not deduplicated: one that runs may have read the former roster."""
    return Job("adt.settle", {"stay": stay})


async def _relied(ctx: Context, stay: str, patient: str = "") -> tuple[_Facts, Change]:
    """_facts(), relied upon: nobody else decides, no message of the stay is applied, and nothing begins to wait under
    its record numbers, at the same time."""
    facts = await _facts(ctx, stay, patient)
    while True:
        names = {facts.main, *facts.keys, *(person_key(ctx, *number) for number in facts.numbers)}
        keys = [ctx.store.keys.of("stay", name) for name in names]
        change = Change(epochs=await epochs.several(ctx.store, keys), bump_epochs=set(keys))
        again = await _facts(ctx, stay, patient)
        if again == facts:
            return facts, change
        facts = again


def _new(ctx: Context, stay: str, inbox_id: int, source: str, reason: str, evidence: dict[str, Any]) -> Review:
    due_us = ctx.now_us + DUE_US
    id = ctx.store.next_id(ctx.now_us)
    return Review(id, stay, inbox_id, source, reason, evidence, "open", ctx.now_us, due_us, None, "", "", "", "", "")


def _audit(ctx: Context, kind: str, review: Review, verdict: str, patient: str, by: str) -> Any:
    facts = {"verdict": verdict, "review": review.id, "by": by}
    return ctx.audit("U", kind, f"Encounter/{review.stay}", (patient,) if patient else (), detail=facts)
