"""How well each candidate fits: a score and a grade for Patient/$match, on the evidence that member matching weighs.

`certain` is what member_match.py itself would match, and nothing else: there is one matcher. The score orders the rest.
Grades: http://terminology.hl7.org/CodeSystem/match-grade
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from fhir_profiles import Resource
from mappers.hl7v2.event import Patient
from service.workflow.match_evidence import Evidence, compare_person, identifiers
from service.workflow.member_match import Candidate, Match

WEIGHTS: dict[str, tuple[float, float]] = {
    "cin": (8.0, -6.0),
    "identifier": (7.5, 0.0),
    "birth_date": (4.0, -5.0),
    "family": (3.0, -4.0),
    "given": (2.0, -3.0),
    "suffix": (0.5, -3.0),
    "sex": (0.5, -1.5),
    "phone": (2.0, 0.0),
    "email": (2.0, 0.0),
    "ssn4": (2.0, 0.0),
    "address": (1.5, 0.0),
    "transposed": (4.0, 0.0),
}
"""Points where a fact agrees, and where it differs; what is not known gives none."""

FULL = 12.0
"""Points of a whole name, birth date, sex and a telephone number, nearly: from here on more says no more."""
SURE, LIKELY, OPEN = 0.95, 0.6, 0.3
_PARTS = ("birth_date", "family", "given", "suffix", "sex", "cin")


class Scored(NamedTuple):
    """score: 0 to 1. grade: certain, probable, possible or certainly-not."""

    candidate: Candidate
    score: float
    grade: str


def scored(who: Patient, candidates: Iterable[Candidate], verdict: Match) -> list[Scored]:
    """Best first. verdict: what member_match.match said of the same candidates; it is certain unless another ties."""
    rows = [(c, *_points(who, c.patient)) for c in {c.patient_ref: c for c in candidates}.values()]
    found = []
    for candidate, points, evidence in rows:
        chosen = candidate.patient_ref == verdict.patient_ref
        rival = any(other >= points for one, other, _ in rows if one is not candidate)
        found.append(_graded(candidate, points, evidence, chosen and not rival))
    return sorted(found, key=lambda one: (-one.score, one.candidate.patient_ref))


def _graded(candidate: Candidate, points: float, evidence: Evidence, certain: bool) -> Scored:
    score = min(1.0, max(0.0, points / FULL))
    if certain:
        return Scored(candidate, round(max(score, SURE), 2), "certain")
    # What contradicts itself is for a person to look at, however much of it agrees.
    ceiling = LIKELY if evidence.twin or evidence.cin == "differ" else SURE
    score = round(min(score, ceiling - 0.01), 2)
    return Scored(candidate, score, "probable" if score >= LIKELY else "possible" if score >= OPEN else "certainly-not")


def _points(who: Patient, patient: Resource) -> tuple[float, Evidence]:
    evidence = compare_person(who, patient)
    agree = {part for part in _PARTS if getattr(evidence, part) == "agree"} | set(evidence.corroboration)
    differ = {part for part in _PARTS if getattr(evidence, part) == "differ"}
    if shared_identifier(who, patient):
        agree.add("identifier")
    if evidence.transposed:
        agree.add("transposed")
    return sum(WEIGHTS[part][0] for part in agree) + sum(WEIGHTS[part][1] for part in differ), evidence


def shared_identifier(who: Patient, patient: Resource) -> bool:
    """A number, the CIN aside, that both bear under one system and that was not retired on the Patient."""
    held: Sequence[tuple[str, str]] = [
        (one.system, str(other.get("value", "")))
        for one in who.ids
        for other in identifiers(patient, one.system)
        if other.get("use") != "old" and "end" not in other.get("period", {})
    ]
    return any((one.system, one.value) in held for one in who.ids)
