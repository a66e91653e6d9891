"""DG1 -> Condition, one per code of a stay (v2-to-FHIR DG1[Condition]): https://hl7.org/fhir/R4/condition.html"""

from __future__ import annotations

from collections.abc import Sequence

from mappers.hl7v2.code_tables import table
from mappers.hl7v2.event import AdtEvent, Diagnosis
from mappers.hl7v2.resources.collected import Collected
from mappers.hl7v2.resources.elements import TERMINOLOGY, V2, Resource, coding, concept, derived_id, filled
from mappers.hl7v2.resources.practitioner import practitioner
from mappers.hl7v2.segments.pv1 import diagnosis

PROFILE = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-condition-encounter-diagnosis"
_CATEGORY = coding(TERMINOLOGY + "condition-category", "encounter-diagnosis", "Encounter Diagnosis")


def conditions(event: AdtEvent, patient_ref: str, encounter_ref: str) -> list[Resource]:
    """A Condition per code of the event's diagnoses; its id follows from the Encounter and the code alone.

    The same code as admitting and as final diagnosis is one Condition: the surer word wins. DG1-21 D makes it
    `entered-in-error`, unless the same message also gives the code otherwise.
    """
    by_code: dict[tuple[str, str], list[Diagnosis]] = {}
    for one in event.visit.diagnoses if event.visit else ():
        by_code.setdefault(code_key(one), []).append(one)
    return [_condition(key, ones, patient_ref, encounter_ref) for key, ones in by_code.items()]


def diagnosed(made: Collected) -> None:
    """The Conditions of one message, each with the DG1 segments that it came from and who diagnosed it (DG1-16)."""
    called_by: dict[tuple[str, str], list[str]] = {}
    asserters: dict[tuple[str, str], Resource] = {}
    for called, dg1 in made.numbered("DG1"):
        if one := diagnosis(dg1, made.source, []):
            key = code_key(one)
            called_by.setdefault(key, []).append(called)
            for rep in dg1.reps(16):
                if who := practitioner(made, rep, called):
                    asserters.setdefault(key, who)
    for key, resource in zip(called_by, conditions(made.event, made.patient_ref, made.encounter_ref), strict=True):
        made.add(filled(**resource, asserter=asserters.get(key)), *called_by[key])


def code_key(one: Diagnosis) -> tuple[str, str]:
    """(system, code), or ("", text) of a diagnosis in words."""
    if one.coded.code:
        return one.coded.system, " ".join(one.coded.code.split())
    return "", " ".join(one.coded.text.casefold().split())


def condition_id(encounter_ref: str, key: tuple[str, str]) -> str:
    """The same stay and code, the same id."""
    return "dx-" + derived_id("condition", encounter_ref, *key)


def encounter_diagnoses(event: AdtEvent, encounter_ref: str) -> list[Resource]:
    """Encounter.diagnosis: which Condition, in which role (DG1-6), of which rank (DG1-15)."""
    found = []
    for one in event.visit.diagnoses if event.visit else ():
        if one.delete:
            continue
        row = table("diagnosis_type").get(one.kind, {})
        # The map has A alone; F is DD by the Da Vinci notifications. W is in neither and keeps its v2 code.
        use = coding(TERMINOLOGY + "diagnosis-role", row["role"], row["role_display"]) if row.get("role") else {}
        if one.kind and not use:
            use = coding(V2 + "0052", one.kind)
        found.append(
            filled(
                condition={"reference": f"Condition/{condition_id(encounter_ref, code_key(one))}"},
                use=use,
                rank=one.rank or None,
            )
        )
    return found


def _condition(key: tuple[str, str], ones: Sequence[Diagnosis], patient_ref: str, encounter_ref: str) -> Resource:
    standing = [one for one in ones if not one.delete]
    words = [word for one in standing if (word := table("diagnosis_type").get(one.kind, {}).get("verification"))]
    sure = "confirmed" if "confirmed" in words else next(iter(words), "")
    status = TERMINOLOGY + "condition-ver-status"
    best = next((one for one in standing or ones if one.coded.text), ones[0])
    return filled(
        resourceType="Condition",
        id=condition_id(encounter_ref, key),
        meta={"profile": [PROFILE]},
        # con-5: an entered-in-error Condition has no clinical status; con-3 asks for one of every other.
        clinicalStatus=coding(TERMINOLOGY + "condition-clinical", "active") if standing else {},
        verificationStatus=coding(status, sure if standing else "entered-in-error") if sure or not standing else {},
        category=[_CATEGORY],
        code=concept(best.coded),
        subject={"reference": patient_ref},
        encounter={"reference": encounter_ref},
        # The map puts DG1-5 into onsetDateTime and doubts it itself: it is when it was diagnosed, not when it began.
        recordedDate=next((one.at_text for one in standing or ones if one.at_text), ""),
    )
