"""AL1 and IAM -> AllergyIntolerance (v2-to-FHIR AL1[AllergyIntolerance], IAM): https://hl7.org/fhir/R4/allergyintolerance.html"""

from __future__ import annotations

from mappers.hl7v2.message import Segment
from mappers.hl7v2.resources.collected import Collected
from mappers.hl7v2.resources.elements import TERMINOLOGY, Resource, coding, filled

_CLINICAL = TERMINOLOGY + "allergyintolerance-clinical"
_VERIFICATION = TERMINOLOGY + "allergyintolerance-verification"


def allergies(made: Collected) -> None:
    """An AllergyIntolerance per AL1 and per IAM that names a substance."""
    for name in ("AL1", "IAM"):
        for called, segment in made.numbered(name):
            if one := _allergy(made, segment, name):
                made.add(one, called)


def _allergy(made: Collected, segment: Segment, name: str) -> Resource:
    code = made.concept(segment, 3)
    if not code:
        return {}
    severity = made.mapped("allergy_severity", segment, 4)
    deleted = name == "IAM" and segment.get(6).upper() == "D"
    manifestations = [{"text": text} for rep in segment.reps(5) if (text := rep.get(1))]
    reaction = filled(manifestation=manifestations, severity=severity.get("severity", "") if manifestations else "")
    category = made.mapped("allergen_type", segment, 2).get("category", "")
    onset = made.time(segment, 6 if name == "AL1" else 11)
    key = segment.get(3) or segment.get(3, comp=2)
    return filled(
        resourceType="AllergyIntolerance",
        id=made.id_of("allergy", made.patient_ref, key),
        # ait-2: none where it is entered in error, ait-1: one elsewhere.
        clinicalStatus={} if deleted else coding(_CLINICAL, "active"),
        verificationStatus=coding(_VERIFICATION, "entered-in-error" if deleted else "unconfirmed"),
        category=[category] if category else [],
        criticality=severity.get("criticality", ""),
        code=code,
        patient={"reference": made.patient_ref},
        encounter=filled(reference=made.encounter_ref),
        onsetDateTime=onset,
        reaction=[reaction] if manifestations else [],
    )
