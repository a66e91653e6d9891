"""Which stay a message belongs to: the best of its identities, hashed to an id that is safe as Encounter.id.

Priority: facts/adt.md 1.6. PV1-18 is the patient type and never an account (a bug of other converters).
"""

import base64
import hashlib
import json

from mappers.hl7v2.event import AdtEvent

PROVISIONAL = "stay-p-"
"""Nothing identifies the stay: it holds this one message until a person or a later message says more."""


def stay_key(event: AdtEvent, source: str) -> str:
    """The id of the stay and of its Encounter: `stay-` and 32 of a-z2-7. source: the name of the sending system."""
    stay = event.stay
    if event.processing_id.split("^")[0].strip().upper() not in {"P", ""}:
        # Test traffic with the visit numbers of real stays: it must not touch them.
        source = f"{source}, test"
    if stay.visit_number:
        return numbered("visit", source, stay.visit_authority or stay.facility, stay.visit_number)
    if stay.account:
        return numbered("account", source, stay.account_authority or stay.facility, stay.account)
    if stay.mrn and stay.admit is not None:
        minute = stay.admit // 60_000_000
        return "stay-" + _digest("mrn", source, stay.mrn_authority or stay.facility, stay.mrn, str(minute))
    parts = (stay.mrn_authority or stay.facility, stay.mrn, event.control_id, str(event.message_time), event.code)
    return PROVISIONAL + _digest("message", source, *parts)


def numbered(kind: str, source: str, place: str, number: str) -> str:
    """Key of the stay under a number. kind: visit or account; place: its assigning authority, else the facility."""
    return "stay-" + _digest(kind, source, place, number)


def is_provisional(key: str) -> bool:
    return key.startswith(PROVISIONAL)


def derived_id(*parts: str) -> str:
    """The id of a resource that follows from its parts: the same parts, the same id, 32 of a-z2-7."""
    return _digest(*parts)


def _digest(*parts: str) -> str:
    """A list in JSON, so that no two lists of parts can run together into one text."""
    digest = hashlib.sha256(json.dumps(parts, ensure_ascii=True).encode()).digest()
    return base64.b32encode(digest[:20]).decode().lower()
