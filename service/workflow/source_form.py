"""A sending system as JSON: each member with its rule, and all that is wrong with one at once. Pure.

The form is that of `/adt/sources`; `enlace adt source` and the table message_source hold the same words.
"""

import re
from collections.abc import Callable
from typing import Any
from zoneinfo import ZoneInfo

from mappers.hl7v2.charsets import codec_for
from mappers.hl7v2.source import CLASSES
from service.store.sources import RegisteredSource

MAX_ENTRIES = 2_000
"""Of a map of one source."""
MAX_TEXT = 200
NAME = re.compile(r"(?!\d{8}[A-Za-z]\d?\Z)(?!\d{3}-\d{2}-\d{4}\Z)[A-Za-z0-9._-]{1,60}", re.ASCII)
"""It stands in logs and figures: nothing that could be a Medi-Cal or Social Security number (service/log_events.py)."""
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_ORGANIZATION = re.compile(r"Organization/[A-Za-z0-9.-]{1,64}", re.ASCII)
_PLACE = re.compile(r"PV1-(?:2|3|10|18):.{1,100}")
_NUBC = re.compile(r"\d{2}", re.ASCII)
_URI = re.compile(r"(?:https?://|urn:)[^\s]{1,180}", re.ASCII)
_PROOF = re.compile(r"sha256:[0-9a-fA-F]{64}|(?:dns|cn|uri|ip|client):[^\s]{1,180}", re.ASCII)
_HOURS = re.compile(r"([01]\d|2[0-4]):([0-5]\d)-([01]\d|2[0-4]):([0-5]\d)", re.ASCII)


class BadSource(Exception):
    """A sentence for each thing that is wrong with a source."""

    def __init__(self, problems: list[str]):
        super().__init__(" ".join(problems))
        self.problems = problems


def _text(value: object) -> bool:
    return isinstance(value, str) and len(value) <= MAX_TEXT and (value.isprintable() or not value)


def _zone(value: object) -> bool:
    try:
        return isinstance(value, str) and bool(ZoneInfo(value))
    except (OSError, ValueError, KeyError):
        return False


def _charset(value: object) -> bool:
    return value == "" or (_text(value) and bool(codec_for(str(value))))


def _organization(value: object) -> bool:
    return isinstance(value, str) and bool(_ORGANIZATION.fullmatch(value))


def _list(fits: Callable[[object], bool]) -> Callable[[object], bool]:
    return lambda value: (
        isinstance(value, (list, tuple)) and len(value) <= MAX_ENTRIES and all(one != "" and fits(one) for one in value)
    )


def _map(key: Callable[[str], bool], fits: Callable[[object], bool]) -> Callable[[object], bool]:
    def check(value: object) -> bool:
        if not isinstance(value, dict) or len(value) > MAX_ENTRIES:
            return False
        return all(_text(name) and name.strip() and key(name) and fits(one) for name, one in value.items())

    return check


def _matches(pattern: re.Pattern[str]) -> Callable[[object], bool]:
    return lambda value: isinstance(value, str) and bool(pattern.fullmatch(value))


def _facility(value: object) -> bool:
    if not isinstance(value, dict) or not value.keys() <= {"organization", "display", "zone"}:
        return False
    zone = value.get("zone", "")
    return _organization(value.get("organization")) and _text(value.get("display", "")) and (zone == "" or _zone(zone))


# member -> (rule, sentence for who breaks it)
CONFIG: dict[str, tuple[Callable[[object], bool], str]] = {
    "display": (_text, "the hospital's name in alerts, at most 200 characters"),
    "zone": (_zone, "an IANA zone, such as America/Los_Angeles"),
    "charset": (_charset, 'a name of HL7 table 0211, such as "UNICODE UTF-8", or ""'),
    "ack_mode": (lambda v: v in (None, "", "original", "enhanced"), "original or enhanced, or null: as MSH-15/16 ask"),
    "reply_always": (lambda v: isinstance(v, bool), "true, or false: NE, ER and SU in MSH-15 are taken literally"),
    "processing_ids": (
        _list(lambda v: v in ("P", "T", "D")),
        "a list of the values of MSH-11 (P, T, D) that count as real",
    ),
    "cin_authorities": (_list(_text), "a list of assigning authorities under which Medi-Cal numbers stand"),
    "class_map": (
        _map(lambda k: bool(_PLACE.fullmatch(k)), lambda v: v in CLASSES),
        'an object, as {"PV1-18:OBS": "OBSERVATION"}: PV1-2, PV1-3, PV1-10 or PV1-18 to ' + ", ".join(CLASSES),
    ),
    "disposition_map": (
        _map(lambda _k: True, _matches(_NUBC)),
        'an object from PV1-36 as sent to a two-digit NUBC code, as {"HOME": "01"}',
    ),
    "authorities": (
        _map(lambda _k: True, _matches(_URI)),
        "an object from an assigning authority as sent to the URI of its numbers",
    ),
    "facilities": (
        _map(lambda _k: True, _facility),
        "an object from an NPI or a facility's name as sent to {organization, display, zone}",
    ),
    "certificates": (
        _list(_matches(_PROOF)),
        "a list of who may speak for it: sha256:<64 hex digits>, dns:, cn:, uri: or ip:<name>, client:<client id>",
    ),
    "hours": (
        _map(lambda k: k in DAYS, lambda v: v == "" or (isinstance(v, str) and hours(v) is not None)),
        'an object of the hours in which it sends, as {"mon": "07:00-19:00", "sun": ""}, in its zone',
    ),
}
_COLUMNS: dict[str, tuple[Callable[[object], bool], str]] = {
    "name": (_matches(NAME), "1 to 60 letters, digits, hyphens, dots and underscores, and no number of a person"),
    "application": (_text, "the first component of MSH-3, or empty: any"),
    "facility": (lambda v: _text(v) and v != "", "the first component of MSH-4"),
    "organization": (
        lambda v: v == "" or _organization(v),
        "Organization/<id> of the hospital, or empty where facilities names several",
    ),
    "active": (lambda v: isinstance(v, bool), "true or false"),
}
RULES = _COLUMNS | CONFIG
REQUIRED = ("name", "facility", "organization")
DEFAULTS: dict[str, Any] = {
    "application": "", "active": True, "display": "", "zone": "America/Los_Angeles", "charset": "", "ack_mode": None,
    "reply_always": True, "processing_ids": ["P"], "cin_authorities": [], "class_map": {}, "disposition_map": {},
    "authorities": {}, "facilities": {}, "certificates": [], "hours": {},
}  # fmt: skip


def hours(text: str) -> tuple[int, int] | None:
    """(minutes from midnight to the beginning, to the end) of "07:00-19:00"; None where it is none."""
    found = _HOURS.fullmatch(text)
    if not found:
        return None
    a, b, c, d = map(int, found.groups())
    start, end = a * 60 + b, c * 60 + d
    return (start, end) if start < end <= 1440 else None


def read_source(form: dict[str, Any]) -> RegisteredSource:
    """The source that a form describes; what it does not name is as by default. Raises BadSource."""
    problems = []
    if not form.keys() <= RULES.keys():
        problems.append(f"Some members are not known here; known are: {', '.join(RULES)}.")
    problems += [f"{name} is required." for name in REQUIRED if name not in form]
    problems += [f"{name} is {rule}." for name, (fits, rule) in RULES.items() if name in form and not fits(form[name])]
    if form.get("organization") == "" and not form.get("facilities"):
        problems.append("organization is required where facilities names none.")
    if problems:
        raise BadSource(problems)
    whole = DEFAULTS | form
    config = {name: whole[name] for name in CONFIG}
    config["ack_mode"] = config["ack_mode"] or None
    who = {name: str(whole[name]) for name in ("name", "application", "facility", "organization")}
    return RegisteredSource(**who, config=config, active=bool(whole["active"]))


def config_problems(config: dict[str, Any]) -> list[str]:
    """As read_source, of the part that a file of `enlace adt source --maps` holds."""
    unknown = sorted(config.keys() - CONFIG.keys())
    problems = [f"Some words are not known here; known are: {', '.join(CONFIG)}."] if unknown else []
    return problems + [
        f"{name} is {rule}." for name, (fits, rule) in CONFIG.items() if name in config and not fits(config[name])
    ]


def shown(source: RegisteredSource) -> dict[str, Any]:
    """The form of a source, whole: what is sent back is the same source."""
    config = {name: source.config.get(name, DEFAULTS[name]) for name in CONFIG}
    return {
        "name": source.name,
        "application": source.application,
        "facility": source.facility,
        "organization": source.organization,
        "active": source.active,
        **config,
    }


def organizations(source: RegisteredSource) -> list[str]:
    """References of the Organizations that it names; they must be there."""
    several = [str(one["organization"]) for one in source.config.get("facilities", {}).values()]
    return list(dict.fromkeys([one for one in (source.organization, *several) if one]))
