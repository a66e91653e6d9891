"""A synthetic ADT message of made-up people and hospitals; simulate_feed.py makes a stream of them.

A member is a dict with any of cin, mrn, panel (our Patient id, as a network echoes it from our roster), family, given,
birth_date ("1980-05-17"), sex ("F", "female"), phone, address (text or {line, city, state, zip}). A hospital is a dict
with name and any of application, facility, npi, oid, zone, enhanced (asks for a commit acknowledgement, as Epic does),
via ({application, facility} of the network that sends for it: MSH tells nothing of the hospital then), cin_in (where
it writes the CIN: "both" PID-3 and IN1-36, "in1" alone, "bic": in IN1-36 with the suffix of the card).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from mappers.hl7v2.adt_events import EVENTS
from mappers.hl7v2.separators import escape

Member = Mapping[str, Any]
Hospital = Mapping[str, Any]
MINUTE = 60_000_000
_CARD = "12026"
"""Check digit and date of issue, which follow the CIN on a Medi-Cal card."""
_MERGES = frozenset(f"A{n}" for n in (30, 34, 35, 36, 39, 40, 41, 42, 43, 44, 45, 46, 47, 49, 50, 51))
_NO_VISIT = (_MERGES - {"A45", "A50", "A51"}) | {"A24", "A28", "A29", "A31", "A37"}


def message(event: str, member: Member, hospital: Hospital, **fields: Any) -> bytes:
    """One ER7 message, segments ended by CR.

    `fields`: control_id, at_us (sent), occurred_us, admit_us, discharge_us, planned_us, patient_class, location
    ("4W^401^A"), prior_location, visit_number, account, disposition, reason and diagnosis ("R07.9^Chest pain"),
    retired, retired_account, retired_visit (MRN, account, visit number that a merge or move takes away),
    processing_id, version, charset; and any field by its HL7 place, which wins and is not escaped: `PV1_18="OBS"`,
    `PID_13='""'`. A field set to None is left out.
    """
    row = EVENTS.get(event)
    values = _msh(event, row.structure if row else "", hospital, fields)
    values |= _evn(event, hospital, fields) | _pid(member, hospital, fields)
    if event in _MERGES:
        values |= _mrg(hospital, fields)
    if event in EVENTS and event not in _NO_VISIT:
        values |= _pv(hospital, fields)
    if member.get("cin") and event not in _MERGES:
        card = _CARD if hospital.get("cin_in") == "bic" else ""
        values |= {"IN1_1": "1", "IN1_2": "MCAL", "IN1_4": "Medi-Cal", "IN1_36": escape(f"{member['cin']}{card}")}
    values |= {name: value for name, value in fields.items() if name[3:4] == "_" and name[:3].isupper()}
    return _compose(values).encode(fields.get("codec", "utf-8"), "replace")


def _compose(values: Mapping[str, Any]) -> str:
    segments: dict[str, dict[int, str]] = {}
    for place, value in values.items():
        name, _, number = place.partition("_")
        if value is not None and number.isdigit():
            segments.setdefault(name, {})[int(number)] = str(value)
    order = ["MSH", "EVN", "PID", "PD1", "MRG", "NK1", "PV1", "PV2", "DG1", "IN1"]
    lines = []
    for name in sorted(segments, key=lambda n: order.index(n) if n in order else len(order)):
        numbered = segments[name]
        start = 2 if name == "MSH" else 1
        lines.append("|".join([name, *(numbered.get(n, "") for n in range(start, max(numbered) + 1))]))
    return "\r".join(lines) + "\r"


def _msh(event: str, structure: str, hospital: Hospital, fields: Mapping[str, Any]) -> dict[str, Any]:
    enhanced, sender = hospital.get("enhanced"), hospital.get("via") or hospital
    return {
        "MSH_2": "^~\\&",
        "MSH_3": escape(sender.get("application", "SIM")),
        "MSH_4": escape(_facility(sender)),
        "MSH_5": "ENLACE",
        "MSH_6": "ENLACE",
        "MSH_7": _when(fields.get("at_us"), hospital),
        "MSH_9": f"ADT^{event}^{structure}" if structure else f"ADT^{event}",
        "MSH_10": fields.get("control_id", "1"),
        "MSH_11": fields.get("processing_id", "P"),
        "MSH_12": fields.get("version", "2.5.1"),
        "MSH_15": "AL" if enhanced else None,
        "MSH_16": "NE" if enhanced else None,
        "MSH_18": fields.get("charset"),
    }


def _evn(event: str, hospital: Hospital, fields: Mapping[str, Any]) -> dict[str, Any]:
    npi, routed = hospital.get("npi"), hospital.get("via")
    return {
        "EVN_1": event,
        "EVN_2": _when(fields.get("at_us"), hospital),
        "EVN_3": _when(fields.get("planned_us"), hospital),
        "EVN_6": _when(fields.get("occurred_us"), hospital),
        "EVN_7": f"{escape(hospital['name'])}^{npi}^NPI" if npi else escape(hospital["name"]) if routed else None,
    }


def _pid(member: Member, hospital: Hospital, fields: Mapping[str, Any]) -> dict[str, Any]:
    ids = [f"{escape(str(member.get('mrn') or 'M1'))}^^^{_authority(hospital)}^MR"]
    if member.get("panel"):
        ids.append(f"{escape(str(member['panel']))}^^^ENLACE^PI")
    if member.get("cin") and hospital.get("cin_in", "both") == "both":
        ids.append(f"{escape(str(member['cin']))}^^^MEDI-CAL^MA")
    return {
        "PID_1": "1",
        "PID_3": "~".join(ids),
        "PID_5": f"{escape(member.get('family', ''))}^{escape(member.get('given', ''))}^^^^^L",
        "PID_7": str(member.get("birth_date", "")).replace("-", ""),
        "PID_8": str(member.get("sex", "U"))[:1].upper(),
        "PID_11": _address(member.get("address")),
        "PID_13": escape(member.get("phone") or ""),
        "PID_18": escape(fields["account"]) if fields.get("account") else None,
    }


def _mrg(hospital: Hospital, fields: Mapping[str, Any]) -> dict[str, Any]:
    account, visit = fields.get("retired_account"), fields.get("retired_visit")
    return {
        "MRG_1": f"{escape(str(fields.get('retired', 'OLD-1')))}^^^{_authority(hospital)}^MR",
        "MRG_3": f"{escape(account)}^^^{_authority(hospital)}^AN" if account else None,
        "MRG_5": f"{escape(visit)}^^^{_authority(hospital)}^VN" if visit else None,
    }


def _pv(hospital: Hospital, fields: Mapping[str, Any]) -> dict[str, Any]:
    number, reason, diagnosis = fields.get("visit_number", "V1"), fields.get("reason"), fields.get("diagnosis")
    values = {
        "PV1_1": "1",
        "PV1_2": fields.get("patient_class", "I"),
        "PV1_3": fields.get("location", "4W^401^A"),
        "PV1_6": fields.get("prior_location"),
        "PV1_7": "1234567893^Weber^Ilse^^^^^^NPI",
        "PV1_19": f"{number}^^^{_authority(hospital)}^VN" if number else None,
        "PV1_36": fields.get("disposition"),
        "PV1_39": escape(_facility(hospital)) if hospital.get("via") else None,
        "PV1_44": _when(fields.get("admit_us"), hospital),
        "PV1_45": _when(fields.get("discharge_us"), hospital),
        "PV2_3": f"{reason}^I10" if reason else None,
        "PV2_9": _when(fields.get("planned_us"), hospital),
    }
    if diagnosis:
        values |= {"DG1_1": "1", "DG1_3": f"{diagnosis}^I10", "DG1_6": "A"}
    return values


def _authority(hospital: Hospital) -> str:
    name = escape(_facility(hospital))
    return f"{name}&{hospital['oid']}&ISO" if hospital.get("oid") else name


def _facility(hospital: Hospital) -> str:
    return str(hospital.get("facility") or hospital["name"])


def _address(address: Any) -> str:
    if isinstance(address, Mapping):
        line = address.get("line") or ""
        line = line if isinstance(line, str) else " ".join(line)
        postal = address.get("zip") or address.get("postalCode") or ""
        parts = [line, "", address.get("city", ""), address.get("state", "CA"), postal, "", "H"]
        return "^".join(escape(str(part)) for part in parts)
    return f"{escape(str(address))}^^^^^^H" if address else ""


def _when(us: int | None, hospital: Hospital) -> str | None:
    """The hospital's local time without an offset, as nearly every real feed sends it."""
    if us is None:
        return None
    zone = ZoneInfo(hospital.get("zone", "America/Los_Angeles"))
    return datetime.fromtimestamp(us // 1_000_000, UTC).astimezone(zone).strftime("%Y%m%d%H%M%S")
