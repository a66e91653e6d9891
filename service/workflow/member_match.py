"""Whose message is it? Identifiers and demographics of an ADT event -> Patient, or a named reason why not.

Tiers and arithmetic: facts/adt.md section 5. A false match shows a stranger's stay to a care manager, a miss only
delays: name, birth date and sex alone never match, and whatever conflicts goes to review.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from fhir_profiles import Resource
from mappers.hl7v2.event import AdtEvent, Identifier
from service.workflow.match_evidence import Evidence, compare, identifiers, surname_shared
from service.workflow.person_names import family_keys, newborn_name

PANEL_AUTHORITIES = frozenset({"ENLACE", "https://enlace.example.org/fhir/NamingSystem/panel-id"})
"""PID-3 with one of these holds the Patient id that our roster gave to the network."""
MRN_TYPES = frozenset({"MR", "PI", "PT", ""})
INSUFFICIENT = "demographics-insufficient"
"""Too little agrees, and nothing contradicts: such a message may join a stay whose member is known."""


@dataclass(frozen=True)
class Lookup:
    """What to ask the store for.

    kind panel: value is a Patient id. cin: value is the number. mrn: value, in the identifier system `scope`.
    demographics: value is a family name in comparing form (person_names.family_keys), scope the birth date; a search by
    birth date alone serves as well, names are compared here.
    """

    kind: Literal["panel", "cin", "mrn", "demographics"]
    value: str
    scope: str = ""


@dataclass(frozen=True)
class Candidate:
    patient_ref: str
    patient: Resource


@dataclass(frozen=True)
class Ranked:
    """A member who might be meant, for a person to judge. score: see match_likelihood.py; words: as of Match."""

    patient_ref: str
    score: float
    words: tuple[str, ...]


@dataclass(frozen=True)
class Match:
    """tier: panel, cin, mrn, demographics, person (somebody decided), "" without a match. reason: matched, decided, or

    identity-unknown placeholder-name newborn panel-conflict cin-conflict mrn-conflict identifier-conflict possible-twin
    ambiguous demographics-insufficient no-candidate nobody. evidence: words without values, for the review queue.
    score, ranked (best first): of who might be meant where nobody matched. wanted: what would have found a member.
    """

    patient_ref: str | None
    tier: str
    reason: str
    evidence: tuple[str, ...] = ()
    score: float = 0.0
    ranked: tuple[Ranked, ...] = ()
    wanted: tuple[Lookup, ...] = ()


def mrn_system(event: AdtEvent, identifier: Identifier) -> str:
    """The system under which a confirmed MRN is kept on the Patient: the sender's own, else one per authority."""
    if identifier.system:
        return identifier.system
    place = identifier.authority or event.stay.facility
    return f"https://enlace.example.org/fhir/sid/mrn/{event.source}/{place}".replace(" ", "-")


def candidates_wanted(event: AdtEvent) -> list[Lookup]:
    """Best first, without repeats. Empty for a person whom nobody has named."""
    who = event.patient
    if who.identity_unknown or who.placeholder:
        return []
    wanted = [Lookup("panel", i.value) for i in who.ids if _ours(i)]
    wanted += [Lookup("cin", number) for number in who.cins]
    wanted += [Lookup("mrn", i.value, mrn_system(event, i)) for i in who.ids if not _ours(i) and i.type in MRN_TYPES]
    if len(who.birth_date) == 10 and who.birth_precision in {"day", ""}:
        keys = sorted({k for n in who.names if n.use != "alias" for k in family_keys(n.family)})
        wanted += [Lookup("demographics", k, who.birth_date) for k in keys]
    return list(dict.fromkeys(wanted))


def match(
    event: AdtEvent,
    candidates: Mapping[Lookup, Sequence[Candidate]],
    communal: frozenset[tuple[str, str]] = frozenset(),
) -> Match:
    """candidates: what the store found for each of candidates_wanted. communal: see match_evidence.compare."""
    who = event.patient
    if who.identity_unknown:
        return Match(None, "", "identity-unknown")
    if who.placeholder:
        return Match(None, "", "placeholder-name")
    found: list[tuple[str, str, Match]] = []
    for tier in ("panel", "cin", "mrn"):
        pool = _pool(candidates, tier)
        current = [c for c in pool.values() if tier != "mrn" or _current(event, c)]
        if not current:
            continue
        verdict = _by_identifier(event, tier, current, communal)
        if verdict.patient_ref is None and verdict.reason != INSUFFICIENT:
            # A contradiction is for a person to resolve: a weaker tier must not overrule it.
            return verdict
        found.append((tier, current[0].patient_ref, verdict))
    if len({patient for _, patient, _ in found}) > 1:
        return Match(None, "", "identifier-conflict", tuple(f"{tier}=other-patient" for tier, _, _ in found))
    if found:
        return next((verdict for _, _, verdict in found if verdict.patient_ref), found[0][2])
    return _by_demographics(event, list(_pool(candidates, "demographics").values()), communal)


def _by_identifier(
    event: AdtEvent, tier: str, pool: Sequence[Candidate], communal: frozenset[tuple[str, str]]
) -> Match:
    if len(pool) > 1:
        # Two CINs in one message, or one number on two records.
        return Match(None, "", "cin-conflict" if tier == "cin" else "ambiguous", (f"{tier}=several",))
    seen = compare(event, pool[0].patient, communal)
    words = (f"{tier}=agree", *seen.words())
    if reason := _objection(event, tier, seen):
        return Match(None, "", reason, words)
    return Match(pool[0].patient_ref, tier, "matched", words)


def _objection(event: AdtEvent, tier: str, seen: Evidence) -> str:
    """Why an identifier that was found is not believed; "" if it is.

    A sister's card or chart bears half of the first name, a parent's the whole name: without a birth date, or with half
    a name, something of the person's own has to agree as well.
    """
    if _newborn(event) and seen.birth_date != "agree":
        # A newborn is registered under its mother's card, name and telephone.
        return "newborn"
    if seen.cin == "differ":
        return "cin-conflict"
    if seen.twin:
        return "possible-twin"
    if tier == "panel" and (seen.birth_date != "agree" or "agree" not in (seen.family, seen.given)):
        return "panel-conflict"
    if tier == "cin" and _of_another(seen):
        return "cin-conflict"
    if tier == "mrn" and (seen.birth_date == "differ" or seen.stranger):
        return "mrn-conflict"
    if tier == "mrn" and seen.birth_date == "unknown":
        return INSUFFICIENT
    return INSUFFICIENT if tier != "panel" and not seen.own and (seen.half or seen.birth_date == "unknown") else ""


def _of_another(seen: Evidence) -> bool:
    """Whether a card was read that is not the patient's: a parent's of the same name, anybody's by a wrong key."""
    if seen.birth_date == "agree":
        return seen.stranger
    return seen.name != "agree" or (seen.birth_date == "differ" and not seen.near)


def _by_demographics(event: AdtEvent, pool: Sequence[Candidate], communal: frozenset[tuple[str, str]]) -> Match:
    if _newborn(event):
        return Match(None, "", "newborn")
    # Many are born on a day; the others of it cost most of the time, and no rule below is about them.
    pool = [c for c in pool if surname_shared(event.patient.names, c.patient)]
    seen = [(c, compare(event, c.patient, communal)) for c in pool]
    near = [(c, e) for c, e in seen if e.birth_date == "agree" and e.family == "agree" and e.given != "differ"]
    sure = [(c, e) for c, e in near if e.name == "agree" and e.sex != "differ" and e.corroborated]
    if any(e.cin == "differ" for _, e in sure):
        return Match(None, "", "cin-conflict", sure[0][1].words())
    if len(sure) == 1:
        return Match(sure[0][0].patient_ref, "demographics", "matched", sure[0][1].words())
    if sure:
        return Match(None, "", "ambiguous", (f"candidates={len(sure)}",))
    if near:
        return Match(None, "", INSUFFICIENT, near[0][1].words())
    twins = [e for _, e in seen if e.twin and e.corroboration]
    if twins:
        return Match(None, "", "possible-twin", twins[0].words())
    return Match(None, "", "no-candidate" if candidates_wanted(event) else INSUFFICIENT)


def _pool(candidates: Mapping[Lookup, Sequence[Candidate]], kind: str) -> dict[str, Candidate]:
    hits: Iterable[Candidate] = (c for lookup, found in candidates.items() if lookup.kind == kind for c in found)
    return {c.patient_ref: c for c in hits}


def _current(event: AdtEvent, candidate: Candidate) -> bool:
    """False where every MRN that led here was retired on the Patient (a merge: use old, or a period that ended)."""
    wanted = {(w.scope, w.value) for w in candidates_wanted(event) if w.kind == "mrn"}
    held = [
        i
        for system in {scope for scope, _ in wanted}
        for i in identifiers(candidate.patient, system)
        if (system, str(i.get("value", ""))) in wanted
    ]
    return not held or any(i.get("use") != "old" and "end" not in i.get("period", {}) for i in held)


def _ours(identifier: Identifier) -> bool:
    return identifier.authority in PANEL_AUTHORITIES or identifier.system in PANEL_AUTHORITIES


def _newborn(event: AdtEvent) -> bool:
    return (event.visit is not None and event.visit.newborn) or any(newborn_name(n.given) for n in event.patient.names)
