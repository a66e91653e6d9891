"""Whether a member fits the criteria of a service: met, not met, or to be asked, with the evidence. Pure.

The data here is never the whole of a member's life: that something is not found means that somebody has to ask. Only
what contradicts a criterion (an age, a last value) says "not met". Nothing is refused by it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any

from fhir_profiles import Resource
from service.search.dates import parse
from service.workflow.calaim_caps import months_after
from service.workflow.calaim_catalogue import CODE_SYSTEMS, ECM, service_of

MET, NOT_MET, ASK = "met", "not-met", "ask"
HOMELESS_URL = "https://enlace.example.org/fhir/StructureDefinition/enlace-homeless"
PROGRAM_SYSTEM = f"{CODE_SYSTEMS}overlap-program"
ICD10 = ("http://hl7.org/fhir/sid/icd-10-cm", "http://hl7.org/fhir/sid/icd-10")
LOINC = "http://loinc.org"
HOMELESS_CODES = ("Z59.0",)
"""Homelessness of any kind. Inadequate (Z59.1) or unstable (Z59.81) housing is not yet that: the question stays."""
UNSTABLE_CODES = ("Z59.1", "Z59.81")
ENROLLED = "enrolled"
PLANNED = {
    ("http://terminology.hl7.org/CodeSystem/v2-0007", "C"),
    ("http://terminology.hl7.org/CodeSystem/v2-0007", "N"),
    ("http://terminology.hl7.org/CodeSystem/v3-ActPriority", "EL"),
}
"""Elective admissions, and births: facts/california.md B.2, how one plan counts."""
ENDED = ("entered-in-error", "cancelled", "finished", "inactive", "resolved", "remission", "refuted")
_PAST = ("entered-in-error", "cancelled")


@dataclass(frozen=True)
class Facts:
    """What the asker may see of a member, by type. today: of California."""

    today: date
    patient: Resource
    records: Mapping[str, Sequence[Resource]] = field(default_factory=dict)

    def of(self, rtype: str) -> Sequence[Resource]:
        return self.records.get(rtype, ())


@dataclass(frozen=True)
class Outcome:
    """evidence: references of what says so. known: in words, what the data says."""

    result: str
    evidence: tuple[str, ...] = ()
    known: str = ""


@dataclass(frozen=True)
class Judged:
    """A criterion, or a group of them (parts) with the word that joins them."""

    id: str
    text: str
    question: str
    outcome: Outcome
    join: str = ""
    parts: tuple["Judged", ...] = ()


def judged(tree: Mapping[str, Any], facts: Facts) -> Judged:
    for join, end, other in (("all", NOT_MET, MET), ("any", MET, NOT_MET)):
        if join in tree:
            parts = tuple(judged(one, facts) for one in tree[join])
            results = {one.outcome.result for one in parts}
            result = end if end in results else other if results == {other} else ASK
            outcome = Outcome(result, tuple(dict.fromkeys(e for one in parts for e in one.outcome.evidence)))
            return Judged(str(tree.get("id", "")), str(tree.get("text", "")), "", outcome, join, parts)
    check = tree.get("check")
    outcome = _CHECKS[check["kind"]](check, facts) if check else Outcome(ASK)
    return Judged(str(tree["id"]), str(tree["text"]), str(tree["ask"]), outcome)


def leaves(one: Judged) -> Iterator[Judged]:
    if one.parts:
        for part in one.parts:
            yield from leaves(part)
    else:
        yield one


def _reference(resource: Resource) -> str:
    return f"{resource['resourceType']}/{resource['id']}"


def _codings(concept: Any) -> list[Mapping[str, Any]]:
    return list((concept or {}).get("coding") or ()) if isinstance(concept, dict) else []


def _live(resource: Resource, element: str) -> bool:
    """Neither ended nor a mistake. element: of the clinical status."""
    codes = {c.get("code") for name in (element, "verificationStatus") for c in _codings(resource.get(name))}
    return resource.get("status") not in ENDED and not codes & set(ENDED)


# --- the checks ------------------------------------------------------------------------------------------------------


def age_on(born: str, today: date) -> int | None:
    """None where the day of birth is not known to the day, as far as it matters."""
    if len(born) != 10:
        return None
    day = date.fromisoformat(born)
    return today.year - day.year - ((today.month, today.day) < (day.month, day.day))


def _age(check: Mapping[str, Any], facts: Facts) -> Outcome:
    age = age_on(str(facts.patient.get("birthDate", "")), facts.today)
    if age is None:
        return Outcome(ASK)
    fits = int(check.get("from", 0)) <= age <= int(check.get("to", 200))
    return Outcome(MET if fits else NOT_MET, (_reference(facts.patient),), f"{age} years old")


def _condition(check: Mapping[str, Any], facts: Facts) -> Outcome:
    return _conditions(tuple(check["codes"]), facts)


def _conditions(prefixes: tuple[str, ...], facts: Facts) -> Outcome:
    found = [
        _reference(one)
        for one in facts.of("Condition")
        if _live(one, "clinicalStatus")
        and any(
            c.get("system") in ICD10 and str(c.get("code", "")).upper().startswith(prefixes)
            for c in _codings(one.get("code"))
        )
    ]
    return Outcome(MET, tuple(found)) if found else Outcome(ASK)


def _homeless(_check: Mapping[str, Any], facts: Facts) -> Outcome:
    said = [e.get("valueBoolean") for e in facts.patient.get("extension") or () if e.get("url") == HOMELESS_URL]
    if True in said:
        return Outcome(MET, (_reference(facts.patient),), "the plan's member file says so")
    found, near = _conditions(HOMELESS_CODES, facts), _conditions(UNSTABLE_CODES, facts)
    if found.result == MET or near.result == ASK:
        return found
    return Outcome(ASK, near.evidence, "inadequate or unstable housing is known, which alone is not homelessness")


def planned(encounter: Resource) -> bool:
    concepts = [*(encounter.get("type") or ()), encounter.get("priority")]
    return any((c.get("system"), c.get("code")) in PLANNED for concept in concepts for c in _codings(concept))


def _encounters(check: Mapping[str, Any], facts: Facts) -> Outcome:
    since = months_after(facts.today, -int(check["months"])).isoformat()
    found = [
        _reference(one)
        for one in facts.of("Encounter")
        if one.get("status") not in _PAST
        and (one.get("class") or {}).get("code") in check["classes"]
        and not (check.get("unplanned") and planned(one))
        and since <= str((one.get("period") or {}).get("start", ""))[:10] <= facts.today.isoformat()
    ]
    known = f"{len(found)} known here since {since}"
    return Outcome(MET if len(found) >= int(check["at_least"]) else ASK, tuple(found), known)


def _stay(check: Mapping[str, Any], facts: Facts) -> Outcome:
    """In a facility, or left it, after so many days."""
    for one in facts.of("Encounter"):
        period = one.get("period") or {}
        start, end = str(period.get("start", ""))[:10], str(period.get("end", ""))[:10] or facts.today.isoformat()
        kind = (one.get("class") or {}).get("code")
        if one.get("status") in _PAST or len(start) != 10 or kind not in ("IMP", "NONAC", "ACUTE"):
            continue
        days = (date.fromisoformat(end) - date.fromisoformat(start)).days if len(end) == 10 else 0
        if days >= int(check["days"]):
            return Outcome(MET, (_reference(one),), f"{days} days")
    return Outcome(ASK)


def _observation(check: Mapping[str, Any], facts: Facts) -> Outcome:
    """The last value decides."""
    found = [
        one
        for one in facts.of("Observation")
        if one.get("status") in ("final", "amended", "corrected")
        and any(c.get("system") == LOINC and c.get("code") in check["codes"] for c in _codings(one.get("code")))
    ]
    for last in sorted(found, key=_when, reverse=True)[:1]:
        try:
            value = Decimal(str((last.get("valueQuantity") or {}).get("value")))
        except InvalidOperation:
            return Outcome(ASK)
        high = value >= Decimal(check["at_least"]) if "at_least" in check else True
        low = value <= Decimal(check["at_most"]) if "at_most" in check else True
        return Outcome(MET if high and low else NOT_MET, (_reference(last),), f"the last value is {value}")
    return Outcome(ASK)


def _when(observation: Resource) -> int:
    try:
        return parse(str(observation.get("effectiveDateTime", "")))[0]
    except ValueError:
        return 0


def _ecm(_check: Mapping[str, Any], facts: Facts) -> Outcome:
    found = [
        _reference(one)
        for one in facts.of("EpisodeOfCare")
        if one.get("status") == "active" and (s := service_of(one)) is not None and s.code == ECM
    ]
    return Outcome(MET, tuple(found)) if found else Outcome(ASK)


def _program(check: Mapping[str, Any], facts: Facts) -> Outcome:
    found = [_reference(one) for code, one in programs(facts) if code in check["codes"]]
    return Outcome(MET, tuple(found)) if found else Outcome(ASK)


_CHECKS: dict[str, Callable[[Mapping[str, Any], Facts], Outcome]] = {
    "age": _age,
    "condition": _condition,
    "homeless": _homeless,
    "encounters": _encounters,
    "stay": _stay,
    "observation": _observation,
    "ecm": _ecm,
    "program": _program,
}
"""THE table of what data can say."""


# --- programs that a member is in ------------------------------------------------------------------------------------


def programs(facts: Facts) -> list[tuple[str, Resource]]:
    """(code of overlap-program, what says so): enrolled by Observation, EpisodeOfCare or Coverage, as of today."""
    found: list[tuple[str, Resource]] = []
    for one in facts.of("Observation"):
        enrolled = any(c.get("code") == ENROLLED for c in _codings(one.get("valueCodeableConcept")))
        if enrolled and one.get("status") in ("final", "amended", "corrected", "preliminary"):
            found += [(code, one) for code in _program_codes([one.get("code")])]
    for one in facts.of("EpisodeOfCare"):
        if one.get("status") == "active" and _runs(one, facts.today):
            found += [(code, one) for code in _program_codes(one.get("type") or [])]
    for one in facts.of("Coverage"):
        if one.get("status") == "active" and _runs(one, facts.today):
            concepts = [one.get("type"), *(row.get("type") for row in one.get("class") or ())]
            found += [(code, one) for code in _program_codes(concepts)]
    return found


def _program_codes(concepts: Sequence[Any]) -> list[str]:
    codings = [c for concept in concepts for c in _codings(concept)]
    return list(dict.fromkeys(str(c.get("code")) for c in codings if c.get("system") == PROGRAM_SYSTEM))


def _runs(resource: Resource, today: date) -> bool:
    period = resource.get("period") or {}
    day = today.isoformat()
    return str(period.get("start", ""))[:10] <= day and (not period.get("end") or str(period["end"])[:10] >= day)
