"""Parts that several records of HSDS have: names, telephone numbers, addresses on the web, hours."""

import re
from typing import Any

from mappers.hsds.elements import APPOINTMENT_URL, Record
from mappers.hsds.lens import Group, Names, Part

PHONES = {"voice": "phone", "cell": "phone", "text": "sms", "sms": "sms", "fax": "fax", "pager": "pager"}
"""type of an HSDS phone -> system of a ContactPoint; whatever else it says is a phone."""
TYPES = {"phone": "voice", "sms": "text", "fax": "fax", "pager": "pager"}
REACHED_BY = ("phone", "sms", "email")
DAYS = {"MO": "mon", "TU": "tue", "WE": "wed", "TH": "thu", "FR": "fri", "SA": "sat", "SU": "sun"}
BY_DAY = {day: code for code, day in DAYS.items()}
_CLOCK = re.compile(r"(\d\d:\d\d)(:\d\d)?(?:[+-]\d\d:?\d\d)?", re.A)
"""With the offset of its place, if any. In UTC (`Z`) it is another hour in summer than in winter: not one of FHIR's."""
WHOLE_DAY = {("00:00:00", "23:59:00"), ("00:00:00", "23:59:59")}


def words(value: Any) -> str:
    """A text without blanks around it, "" for what is none."""
    return value.strip() if isinstance(value, str) else ""


def plain(member: str, element: str) -> Group:
    """A text that is the same on both sides."""

    def to_fhir(record: Record, _names: Names) -> Part:
        told = words(record.get(member))
        return {element: told} if told else {}

    def to_hsds(part: Part, _names: Names) -> Record:
        return {member: part[element]} if element in part else {}

    return Group((member,), (element,), to_fhir, to_hsds)


def alias(member: str = "alternate_name") -> Group:
    def to_fhir(record: Record, _names: Names) -> Part:
        told = words(record.get(member))
        return {"alias": [told]} if told else {}

    def to_hsds(part: Part, _names: Names) -> Record:
        return {member: part["alias"][0]} if part.get("alias") else {}

    return Group((member,), ("alias",), to_fhir, to_hsds)


def telecom(*, url: str, appointments: bool = False) -> Group:
    """phones, email and the address on the web under its name in this record.

    appointments: whether people make one there, as Gravity's profile has it; HSDS says so of a service's own contacts.
    """

    def to_fhir(record: Record, _names: Names) -> Part:
        found = points(record, url)
        for one in found if appointments else ():
            if one["system"] in REACHED_BY:
                one["extension"] = [{"url": APPOINTMENT_URL, "valueBoolean": True}]
        return {"telecom": found} if found else {}

    return Group(("phones", "email", url), ("telecom",), to_fhir, lambda part, _names: reached(part, url))


def points(record: Record, url: str = "") -> list[Record]:
    """Telephones, the e-mail address, and the address on the web where it has a name in this record."""
    found = [_point(one) for one in record.get("phones", ()) if isinstance(one, dict) and words(one.get("number"))]
    for member, system in (("email", "email"), (url, "url")):
        if words(record.get(member)):
            found.append({"system": system, "value": words(record[member]), "use": "work"})
    return found


def reached(part: Part, url: str = "") -> Record:
    """The other way round, of what has a `telecom`."""
    found = [one for one in part.get("telecom", ()) if one.get("value")]
    phones = [{"number": one["value"], "type": TYPES[one["system"]]} for one in found if one.get("system") in TYPES]
    out: Record = {"phones": phones} if phones else {}
    for member, system in (("email", "email"), (url, "url")):
        first = next((one["value"] for one in found if one.get("system") == system), "")
        out |= {member: first} if first and member else {}
    return out


def _point(phone: Record) -> Record:
    number, more = words(phone["number"]), phone.get("extension")
    system = PHONES.get(words(phone.get("type")).lower(), "phone")
    return {"system": system, "value": f"{number} ext. {more}" if more is not None else number, "use": "work"}


def hours(element: str, start: str, end: str) -> Group:
    """Weekly schedules: `element` names the entries, `start` and `end` their times.

    What repeats otherwise (every second week, on days of the month) or ends on a day has no place in FHIR's hours: it
    is kept only, so that nobody is told of an open door on a day when it is closed.
    """

    def to_fhir(record: Record, _names: Names) -> Part:
        schedules = [one for one in record.get("schedules", ()) if isinstance(one, dict)]
        found = [entry for one in schedules if (entry := _weekly(one, start, end))]
        return {element: found} if found else {}

    def to_hsds(part: Part, _names: Names) -> Record:
        found = [_schedule(one, start, end) for one in part.get(element, ())]
        return {"schedules": found} if found else {}

    return Group(("schedules",), (element,), to_fhir, to_hsds)


def _weekly(schedule: Record, start: str, end: str) -> Record | None:
    opens, closes = (_CLOCK.fullmatch(words(schedule.get(name))) for name in ("opens_at", "closes_at"))
    named = [day.strip() for day in words(schedule.get("byday")).split(",") if day.strip()]
    odd = schedule.get("interval") not in (None, 1) or any(
        schedule.get(name) for name in ("bymonthday", "byweekno", "byyearday", "count", "until", "valid_to")
    )
    monthly = words(schedule.get("freq")) not in ("", "WEEKLY")
    if odd or monthly or opens is None or closes is None or any(day not in DAYS for day in named):
        return None
    days: Record = {"daysOfWeek": [DAYS[day] for day in dict.fromkeys(named)]} if named else {}
    first, last = opens[1] + (opens[2] or ":00"), closes[1] + (closes[2] or ":00")
    return {**days, "allDay": True} if (first, last) in WHOLE_DAY else {**days, start: first, end: last}


def _schedule(entry: Record, start: str, end: str) -> Record:
    days = ",".join(BY_DAY[day] for day in entry.get("daysOfWeek", ()) if day in BY_DAY)
    out: Record = {"freq": "WEEKLY"} | ({"byday": days} if days else {})
    if entry.get("allDay"):
        return out | {"opens_at": "00:00", "closes_at": "23:59"}
    for name, member in ((start, "opens_at"), (end, "closes_at")):
        if entry.get(name):
            out[member] = entry[name].removesuffix(":00") if entry[name].count(":") == 2 else entry[name]
    return out
