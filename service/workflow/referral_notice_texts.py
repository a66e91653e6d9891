"""What a notice of the closed loop says, in the language of who reads it: rows of referral_notices.json. Pure."""

import json
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from fhir_profiles import Resource
from service.notify.texts import spoken
from service.search.dates import MAX_US, MIN_US, parse
from service.workflow.calaim_catalogue import catalogue

APPOINTMENT = "SDOHCC-ExtensionHealthcareServiceTelecomAppointment"
SHOWN = ("phone", "sms", "email", "url")


class Words(NamedTuple):
    text: str
    language: str


@lru_cache(maxsize=1)
def texts() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((Path(__file__).parent / "referral_notices.json").read_text("utf-8"))
    return found


def sentence(key: str, language: str, **values: str) -> Words:
    """language: BCP 47; of one that is not there, English."""
    known = spoken(language)
    return Words(texts()[known][key].format(**values), known)


def service_name(code: str, language: str) -> str:
    own = texts()["services"].get(spoken(language), {})
    row = catalogue().get(code)
    return str(own.get(code) or (row.title if row else code))


def why(task: Resource, event: str, language: str) -> str:
    """The reason as it was written, as a sentence; what was done is a reason for a closure too."""
    said = texts()[spoken(language)]
    text = str((task.get("statusReason") or {}).get("text") or "").strip().rstrip(".")
    if event == "closed" and task.get("status") == "completed":
        text = text or said["done"]
    return str(said["reason"]).format(reason=text) if text and event != "assigned" else ""


def contact_of(party: Resource, language: str, now_us: int) -> tuple[str, str]:
    """(name, how to reach it) of an entry of the directory: what is meant for appointments first, then by rank."""
    said = texts()[spoken(language)]
    points = [one for one in party.get("telecom") or () if one.get("value") and one.get("system") in SHOWN]
    points = [one for one in points if one.get("use") != "old" and _now(one.get("period"), now_us)]
    points.sort(key=lambda one: (not _for_appointments(one), one.get("rank") or 99, SHOWN.index(one["system"])))
    where = ", ".join(str(one["value"]) for one in points[:2])
    return str(party.get("name") or said["no-provider"]), where or str(said["no-contact"])


def _for_appointments(point: dict[str, Any]) -> bool:
    return any(str(e.get("url", "")).endswith(APPOINTMENT) for e in point.get("extension") or ())


def _now(period: object, now_us: int) -> bool:
    if not isinstance(period, dict):
        return True
    try:
        start = parse(period["start"])[0] if period.get("start") else MIN_US
        return start <= now_us < (parse(period["end"])[1] if period.get("end") else MAX_US)
    except ValueError:
        return False
