"""Whose is it? What people decided goes first, then numbers (merged ones under the one that goes on), then likeness.

A function of the event, the roster, the links and the decisions: decided anew it says the same.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from mappers.hl7v2.event import AdtEvent
from service.access.context import Context
from service.store import matches, stays
from service.store.matches import NOBODY, OTHER, SAME, Decided, Number, number_subject, stay_subject
from service.store.together import each, together
from service.workflow.candidates import BORN, Candidates
from service.workflow.communal_addresses import communal
from service.workflow.match_likelihood import ranked
from service.workflow.member_match import Candidate, Lookup, Match, candidates_wanted, match
from service.workflow.record_numbers import numbers_of

DECIDED = "decided"
UNNAMED = frozenset({"identity-unknown", "placeholder-name"})
"""Nobody is looked for: there is nobody to rank."""


@dataclass(frozen=True)
class Ruling:
    """What people decided: of the stay, and of the record numbers of one message. Sets of Patient references."""

    same: frozenset[str] = frozenset()
    """Who it is: by the stay alone if that was decided, else by the numbers."""
    other: frozenset[str] = frozenset()
    """Who it certainly is not."""
    not_by_number: frozenset[str] = frozenset()
    """To whom one of the numbers certainly does not belong."""
    nobody: bool = False


async def whose(ctx: Context, event: AdtEvent, stay: str | Collection[str], seen: Candidates | None = None) -> Match:
    """stay: its key, or all keys that it goes under; "" for a message without one.

    seen: share it where several messages are decided at once.
    """
    seen = seen or Candidates(ctx)
    ruling, _ = await together(ctx.store, _ruling(ctx, event, _keys(stay), seen), seen.by_number(event))
    if len(ruling.same) == 1:
        [patient] = ruling.same
        if await stays.patient_by_id(ctx.store, patient.partition("/")[2]):
            return Match(patient, "person", DECIDED, ("person=same",))
    if len(ruling.same) > 1:
        return Match(None, "", "identifier-conflict", ("person=several",))
    found = await seen.of(event)
    everybody = found
    if ruling.other:
        found = {w: [c for c in pool if c.patient_ref not in ruling.other] for w, pool in found.items()}
    result = match(event, found, await communal(ctx))
    if result.tier == "demographics" and _crowded(found):
        result = Match(None, "", "ambiguous", ("candidates=too-many",))
    if result.patient_ref in ruling.not_by_number:
        result = Match(None, "", "identifier-conflict", (*result.evidence, "mrn=somebody-else"))
    if result.patient_ref:
        return result
    result = replace(result, wanted=tuple(candidates_wanted(event)))
    if ruling.nobody:
        return replace(result, reason=NOBODY)
    return await _with_ranked(ctx, event, result, everybody, seen)


async def unknown(ctx: Context, event: AdtEvent, found: Match) -> list[Number]:
    """After a match: the record numbers of the message that are known of nobody, and are from now on.

    Without those of which people said that they belong to somebody else.
    """
    numbers = numbers_of(event) if found.patient_ref else []
    known, said = await together(
        ctx.store,
        matches.linked(ctx.store, numbers),
        matches.decisions(ctx.store, [number_subject(n) for n in numbers]),
    )
    barred = {d.subject for d in said if (d.verdict == OTHER) == (d.patient == found.patient_ref)}
    return [number for number in numbers if number not in known and number_subject(number) not in barred]


async def decided(ctx: Context, stay: str | Collection[str]) -> Ruling:
    """What people decided of the stay itself; nothing of the numbers in it."""
    keys = _keys(stay)
    return ruling_of(await matches.decisions(ctx.store, [stay_subject(key) for key in keys]), keys)


async def _ruling(ctx: Context, event: AdtEvent, keys: Collection[str], seen: Candidates) -> Ruling:
    held = numbers_of(event)
    led = await each(ctx.store, (seen.numbers(own) for own in held))
    numbers = [n for own, leads in zip(held, led, strict=True) for n in (own, leads[0])]
    subjects = [number_subject(n) for n in dict.fromkeys(numbers)]
    return ruling_of(await matches.decisions(ctx.store, [*map(stay_subject, keys), *subjects]), keys)


def _keys(stay: str | Collection[str]) -> list[str]:
    return [key for key in ([stay] if isinstance(stay, str) else sorted(stay)) if key]


def ruling_of(rows: Iterable[Decided], keys: Collection[str]) -> Ruling:
    """A word about the stay (one of its keys) outweighs one about a number in it."""
    rows, subjects = list(rows), {stay_subject(key) for key in keys}
    mine = [d for d in rows if d.subject in subjects]
    numbers = [d for d in rows if d.subject not in subjects]
    other = _of(mine, OTHER)
    same = _of(mine, SAME) or _of(numbers, SAME) - other
    return Ruling(same, other, _of(numbers, OTHER), any(d.verdict == NOBODY for d in mine))


def _of(rows: Iterable[Decided], verdict: str) -> frozenset[str]:
    return frozenset(d.patient for d in rows if d.verdict == verdict)


def _crowded(found: Mapping[Lookup, Sequence[Candidate]]) -> bool:
    """Not all who were born on that day were looked at: whether there are two alike is not known."""
    return any(len(pool) >= BORN for lookup, pool in found.items() if lookup.kind == "demographics")


async def _with_ranked(
    ctx: Context,
    event: AdtEvent,
    result: Match,
    found: Mapping[Lookup, Sequence[Candidate]],
    seen: Candidates,
) -> Match:
    if result.reason in UNNAMED:
        return result
    best = await ranked(ctx, event, found, seen)
    return replace(result, ranked=best, score=best[0].score if best else 0.0)
