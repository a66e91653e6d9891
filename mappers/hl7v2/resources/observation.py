"""OBX and ACC -> Observation (v2-to-FHIR OBX[Observation]; ACC is in no map): https://hl7.org/fhir/R4/observation.html"""

from __future__ import annotations

import re

from mappers.hl7v2.datatypes import code_system
from mappers.hl7v2.findings import Finding
from mappers.hl7v2.message import Segment
from mappers.hl7v2.resources.collected import Collected
from mappers.hl7v2.resources.elements import TERMINOLOGY, V2, Resource, coding, filled
from mappers.hl7v2.resources.practitioner import practitioner
from mappers.hl7v2.times import read_time

_NUMBER = re.compile(r"[+-]?\d{1,15}(?:\.\d{1,10})?\Z", re.ASCII)
_CLOCK = re.compile(r"([01]\d|2[0-3])([0-5]\d)([0-5]\d)?(?:\.\d{1,4})?\Z", re.ASCII)
_CODED = frozenset({"CE", "CWE", "CNE", "CF", "IS", "ID"})
_TIMES = frozenset({"DT", "TS", "DTM"})
_COMPARATORS = frozenset({"<", "<=", ">=", ">"})
_NOT_CARRIED = frozenset({"ED", "RP"})
"""Documents and images: they stay in the message."""


def observations(made: Collected) -> None:
    """An Observation per OBX, and one for an accident (ACC)."""
    for n, (called, obx) in enumerate(made.numbered("OBX")):
        if one := _observation(made, obx, n):
            made.add(one, called)
    for called, acc in made.numbered("ACC"):
        made.add(_accident(made, acc), called)


def _observation(made: Collected, obx: Segment, n: int) -> Resource:
    code = made.concept(obx, 3)
    if not code:
        return {}
    status = made.mapped("observation_status", obx, 11).get("status") or "unknown"
    performers = [who for rep in obx.reps(16) if (who := practitioner(made, rep, "OBX"))]
    performers += [{"display": name} for number in (15, 23) if (name := obx.get(number, comp=2) or obx.get(number))]
    low = filled(text=obx.get(7))
    absent = coding(TERMINOLOGY + "data-absent-reason", "not-asked") if obx.get(11).upper() == "N" else {}
    key = (obx.get(3), obx.get(4), obx.get(14)) if obx.get(3) and obx.get(14) else (made.event.control_id, str(n))
    return filled(
        resourceType="Observation",
        id=made.id_of("observation", made.patient_ref, *key),
        status=status,
        code=code,
        subject={"reference": made.patient_ref},
        encounter=filled(reference=made.encounter_ref),
        effectiveDateTime=made.time(obx, 14),
        performer=performers,
        identifier=[{"value": obx.get(21)}] if obx.get(21) else [],
        **({"dataAbsentReason": absent} if absent else _value(made, obx)),
        bodySite=made.concept(obx, 20),
        interpretation=made.concepts(obx, 8),
        method=made.concept(obx, 17),
        referenceRange=[low] if low else [],
    )


def _value(made: Collected, obx: Segment) -> Resource:
    """Observation.value by OBX-2; what its type does not fit goes as text and is reported."""
    kind, sent = obx.get(2).upper(), obx.get(5)
    if kind in _NOT_CARRIED:
        text = "A document or image stays in the message; it is no value of an Observation."
        made.findings.append(Finding("value-left", "OBX-5", "information", text))
        return {}
    if not obx.field(5):
        return {}
    if kind == "NM" and _NUMBER.match(sent):
        return {"valueQuantity": _quantity(made, obx, sent)}
    if kind == "SN" and _NUMBER.match(obx.get(5, comp=2)) and not obx.get(5, comp=3):
        comparator = sent if sent in _COMPARATORS else ""
        return {"valueQuantity": filled(comparator=comparator, **_quantity(made, obx, obx.get(5, comp=2)))}
    parts = (1, 2) if kind == "NR" else (2, 4) if kind == "SN" and obx.get(5, comp=3) == "-" else ()
    if parts and (limits := _range(made, obx, *parts)):
        return {"valueRange": limits}
    if kind == "TM" and (clock := _CLOCK.match(sent)):
        hour, minute, second = clock.groups()
        return {"valueTime": f"{hour}:{minute}:{second or '00'}"}
    if kind in _CODED:
        return {"valueCodeableConcept": made.concept(obx, 5)}
    if kind in _TIMES:
        moment, _ = read_time(sent, made.source.tz)
        if moment:
            return {"valueDateTime": moment.fhir}
    if kind in ("NM", "SN", "NR", "TM", "DT", "TS", "DTM"):
        text = "The value does not fit its type (OBX-2); it was kept as text."
        made.findings.append(Finding("value-type", "OBX-5", "warning", text))
    lines = [rep.get(1) for rep in obx.reps(5)]
    words = "\n".join(line for line in lines if line) if kind in ("TX", "FT", "ST", "") else obx.field(5)
    return {"valueString": words} if words.strip() else {}


def _range(made: Collected, obx: Segment, first: int, last: int) -> Resource:
    """rng-2: a lower limit above the upper one is none."""
    low, high = obx.get(5, comp=first), obx.get(5, comp=last)
    if _NUMBER.match(low) and _NUMBER.match(high) and float(low) > float(high):
        return {}
    return filled(
        low=_quantity(made, obx, low) if _NUMBER.match(low) else {},
        high=_quantity(made, obx, high) if _NUMBER.match(high) else {},
    )


def _quantity(made: Collected, obx: Segment, number: str) -> Resource:
    unit = obx.get(6)
    system = code_system(obx.get(6, comp=3), "OBX-6.3", made.findings) if unit else ""
    value = float(number) if "." in number else int(number)
    return filled(unit=obx.get(6, comp=2) or unit, system=system, code=unit if system else "") | {"value": value}


def _accident(made: Collected, acc: Segment) -> Resource:
    where = [{"code": {"text": "Place of the accident"}, "valueString": acc.get(3)}] if acc.get(3) else []
    if acc.get(4):
        where.append({"code": {"text": "State of the accident"}, "valueString": acc.get(4)})
    kind = made.concept(acc, 2)
    if kind.get("coding") and "system" not in kind["coding"][0]:
        kind |= coding(V2 + "0050", acc.get(2), acc.get(2, comp=2))
    return filled(
        resourceType="Observation",
        id=made.id_of("accident", made.patient_ref, made.event.stay.visit_number or made.event.control_id),
        status="final",
        code={"text": "Accident"},
        subject={"reference": made.patient_ref},
        encounter=filled(reference=made.encounter_ref),
        effectiveDateTime=made.time(acc, 1),
        valueCodeableConcept=kind,
        component=where,
    )
