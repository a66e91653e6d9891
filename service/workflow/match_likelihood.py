"""How likely it is that a member is meant, for the order of the review queue and for nothing else.

Fellegi and Sunter: each fact adds log2(m/u), m how often it agrees in one person's two records, u how often in those of
two; a rare name adds more than a common one, by the roster's own counts. Start: log2(1/members). No score matches
anybody: facts/adt.md section 5, tier 5.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log2
from weakref import WeakKeyDictionary

from mappers.hl7v2.event import AdtEvent
from service.access.context import Context
from service.search.strings import normalise
from service.store import name_counts
from service.store.engine import Store
from service.workflow.candidates import Candidates
from service.workflow.communal_addresses import communal
from service.workflow.match_evidence import Evidence, compare, swapped
from service.workflow.match_scores import shared_identifier
from service.workflow.member_match import Candidate, Lookup, Ranked
from service.workflow.person_names import family_keys, plain

BITS: dict[str, tuple[float, float]] = {
    "birth_date": (14.5, -5.0),
    "cin": (24.0, -6.0),
    "identifier": (18.0, 0.0),
    "suffix": (1.0, -4.0),
    "sex": (1.0, -5.0),
    "phone": (15.0, 0.0),
    "email": (17.0, 0.0),
    "ssn4": (13.0, 0.0),
    "address": (11.0, 0.0),
    "transposed": (10.5, 0.0),
}
"""log2(m/u) where a fact agrees, and where it differs. m by judgement until there are pairs that people decided."""
NAME_DIFFERS = {"family": -4.5, "given": -5.0}
NAME_CLOSE = {"family": 5.0, "given": 4.0}
M_NAME = 0.9
RAREST = 1e-5
FRESH_US = 3_600_000_000
MOST = 5
"""So many of the likeliest are kept for the reviewer."""
LEAST = 0.0
"""Bits after the start: from even odds on it is worth a look."""
_COUNTED: WeakKeyDictionary[Store, tuple[int, int]] = WeakKeyDictionary()


@dataclass(frozen=True)
class Commonness:
    """Shares of the roster that bear the names of the message; members: how many there are."""

    members: int
    family: float
    given: float


async def ranked(
    ctx: Context,
    event: AdtEvent,
    found: Mapping[Lookup, Sequence[Candidate]],
    seen: Candidates,
) -> tuple[Ranked, ...]:
    """Best first, of all who were found and of those whose birth date has day and month the other way round."""
    pool = {c.patient_ref: c for several in found.values() for c in several}
    if other := swapped(event.patient.birth_date):
        pool.update({c.patient_ref: c for c in await seen.born(other)})
    if not pool:
        return ()
    shared, common = await communal(ctx), await _commonness(ctx, event)
    rows = []
    for candidate in pool.values():
        evidence = compare(event, candidate.patient, shared)
        same_number = shared_identifier(event.patient, candidate.patient)
        score = bits(event, candidate, evidence, common, same_number=same_number)
        if score >= LEAST:
            words = evidence.words() + (("identifier=agree",) if same_number else ())
            rows.append(Ranked(candidate.patient_ref, round(score, 1), words))
    return tuple(sorted(rows, key=lambda one: (-one.score, one.patient_ref))[:MOST])


def bits(
    event: AdtEvent, candidate: Candidate, evidence: Evidence, common: Commonness, *, same_number: bool = False
) -> float:
    """0: as likely as not."""
    total = -log2(max(common.members, 2))
    for part in ("birth_date", "cin", "suffix", "sex"):
        said = getattr(evidence, part)
        if part == "birth_date" and evidence.transposed:
            total += BITS["transposed"][0]
        elif said != "unknown":
            total += BITS[part][0 if said == "agree" else 1]
    total += sum(BITS[word][0] for word in evidence.corroboration)
    total += BITS["identifier"][0] if same_number else 0.0
    for part, share in (("family", common.family), ("given", common.given)):
        said = getattr(evidence, part)
        if said == "agree":
            total += log2(M_NAME / max(share, RAREST))
        elif said == "differ":
            total += NAME_CLOSE[part] if _close(event, candidate, part) else NAME_DIFFERS[part]
    return total


def close(one: str, other: str) -> bool:
    """One letter more, less, other, or two changed round: what fingers do. Words of four letters and more."""
    short, long = sorted((one, other), key=len)
    if len(short) < 4 or len(long) - len(short) > 1 or short == long:
        return short == long and len(short) >= 4
    at = next((i for i, (a, b) in enumerate(zip(short, long, strict=False)) if a != b), len(short))
    rest, of = short[at:], long[at:]
    if len(short) < len(long):
        return rest == of[1:]
    return rest[1:] == of[1:] or (rest[:2] == of[1::-1] and rest[2:] == of[2:])


def _close(event: AdtEvent, candidate: Candidate, part: str) -> bool:
    names, theirs = event.patient.names, candidate.patient.get("name", ())
    if part == "family":
        mine = {k for n in names for k in family_keys(n.family)}
        other = {k for n in theirs for k in family_keys(str(n.get("family", "")))}
    else:
        mine = {plain(g) for n in names for g in n.given[:1]}
        other = {plain(str(g)) for n in theirs for g in (n.get("given") or [""])[:1]}
    return any(close(a, b) for a in mine for b in other)


async def _commonness(ctx: Context, event: AdtEvent) -> Commonness:
    total = await _members(ctx)
    family = [normalise(n.family) for n in event.patient.names if n.family]
    given = [normalise(g) for n in event.patient.names for g in n.given[:1] if g]
    shares = []
    for param, words in (("family", family), ("given", given)):
        counts = [await name_counts.with_name(ctx.store, param, word) for word in dict.fromkeys(words)]
        shares.append(max(counts, default=0) / max(total, 1))
    return Commonness(total, shares[0], shares[1])


async def _members(ctx: Context) -> int:
    known = _COUNTED.get(ctx.store)
    if known is None or not 0 <= ctx.now_us - known[0] < FRESH_US:
        known = _COUNTED[ctx.store] = (ctx.now_us, await name_counts.members(ctx.store))
    return known[1]
