"""One message on one view: what came, what was read, which FHIR it is, whose stay, who was told, what failed.

References, states and words only; values of the message where the caller may see them (`content`). Reads, never writes.
"""

from dataclasses import asdict
from typing import Any

from mappers.hl7v2.message import Unreadable, parse
from mappers.hl7v2.resources.bundle import bundle
from mappers.hl7v2.source import SourceConfig
from service.access.context import parse as resource_of
from service.clock import instant
from service.log_events import where
from service.store import feed_view, inbox, inbox_find, stays
from service.store.engine import Store
from service.store.inbox import Received
from service.workflow.feed_reading import Reading, read_again
from service.workflow.feed_words import words
from service.workflow.message_reading import read
from service.workflow.sending_systems import source_of

MOST = 200
"""Messages of a stay that are listed, the newest."""
KINDS = {"care-manager-contact": "hospital", "correction": "correction", "enlace-alert": "alert"}
"""Category of a Communication about a stay -> what it is, in this order."""


async def view(store: Store, id: int, *, content: bool) -> dict[str, Any] | None:
    """All that is known of a message; None where there is none. content: also `raw` and the FHIR Bundle of it."""
    row, message = await inbox.one(store, id), await inbox.message(store, id)
    if row is None or message is None:
        return None
    raw = message[0]
    source = await source_of(store, row.source)
    config = source or SourceConfig(row.source)
    reading = _reading(raw, config, row) if row.state != "purged" else None
    ack = (await inbox.ack_of(store, id) or b"").decode(errors="replace")
    return {
        **listed(row, reused=id in await inbox_find.reusing(store, [id])),
        "handled": instant(row.handled_us) if row.handled_us else None,
        "size": len(raw),
        "answer": next((line for line in ack.splitlines() if line.startswith("MSA")), None),
        "registered": source is not None,
        **(asdict(reading) if reading else {"understood": [], "segments": [], "remarks": []}),
        "fhir": _fhir(raw, config, row, content) if reading else None,
        **(await _stay(store, row)),
        **(await _made(store, row)),
        "jobs": [
            {"id": j[0], "state": j[1], "attempts": j[2], "last_error": j[3]}
            for j in await inbox.unfinished_jobs(store, id)
        ],
        **({"raw": raw.decode(errors="replace")} if content else {}),
    }


def listed(row: Received, *, reused: bool) -> dict[str, Any]:
    """A line of a list, with the words for what became of it. reused: see inbox_find.reusing."""
    said = words(row.state, row.reason)
    return {
        **{name: getattr(row, name) for name in ("id", "source", "control_id", "event", "state", "reason")},
        "received": instant(row.received_us),
        **{name: getattr(row, name) or None for name in ("patient", "stay")},
        "words": said.sentence,
        "remedy": said.remedy,
        "same_control_id": reused,
    }


def _reading(raw: bytes, source: SourceConfig, row: Received) -> Reading:
    """The view is asked most where something is broken: a mapper that breaks must not take it along."""
    try:
        return read_again(raw, source, row.received_us)
    except Exception as error:  # told by type and place, never by its text
        return Reading(remarks=[_broken(error)])


def _broken(error: Exception) -> dict[str, str]:
    found = where(error)
    text = f"The mapper broke over the message ({found['error']} at {found['at']}): report this sentence."
    return {"severity": "error", "at": "MSH", "code": "mapper-broke", "text": text}


def _fhir(raw: bytes, source: SourceConfig, row: Received, content: bool) -> dict[str, Any] | None:
    """The whole message as FHIR: how many of which type, and the Bundle itself where values may be seen."""
    try:
        message = parse(raw, source.charset)
        events = read(raw, source, row.received_us).events
        if isinstance(message, Unreadable) or not events:
            return None
        made, findings = bundle(message, events, source)
    except Exception as error:
        return {"types": {}, "remarks": [_broken(error)]}
    types: dict[str, int] = {}
    for entry in made.get("entry", ()):
        rtype = str(entry["resource"]["resourceType"])
        types[rtype] = types.get(rtype, 0) + 1
    remarks = [{"severity": f.severity, "at": f.location, "code": f.code, "text": f.text} for f in findings]
    return {"types": types, "remarks": remarks, **({"bundle": made} if content else {})}


async def _stay(store: Store, row: Received) -> dict[str, Any]:
    """The messages of its stay, oldest first, its transition of care, and what people must say or said of the match."""
    if not row.stay:
        return {"stay_messages": [], "transition": None, "reviews": []}
    return {
        "stay_messages": [
            {"id": m.id, "event": m.event, "received": instant(m.received_us), "state": m.state, "reason": m.reason}
            for m in reversed(await feed_view.of_stay(store, row.stay, MOST))
        ],
        "transition": await feed_view.transition(store, row.stay),
        "reviews": await feed_view.reviews(store, row.stay),
    }


async def _made(store: Store, row: Received) -> dict[str, Any]:
    """The Encounter of its stay and what was told about it: references and states, no texts."""
    encounter = f"Encounter/{row.stay}"
    if not (row.patient and row.stay) or not await inbox_find.has_resource(store, encounter):
        return {"encounter": None, "alerts": [], "tasks": []}
    told: dict[str, list[dict[str, Any]]] = {"Communication": [], "Task": []}
    people: set[str] = set()
    for rtype, fhir_id, _version, body in await stays.told(store, encounter):
        resource = resource_of(body)
        when = resource.get("sent") or resource.get("authoredOn")
        made: dict[str, Any] = {"reference": f"{rtype}/{fhir_id}", "status": resource.get("status"), "when": when}
        if rtype == "Communication":
            made["kind"] = _kind(resource)
        told[rtype].append(made)
        people |= {str(r.get("reference")) for r in resource.get("recipient") or () if r.get("reference")}
    notices = await feed_view.notices(store, sorted(people), [a["reference"] for a in told["Communication"]])
    for alert in told["Communication"]:
        alert["notices"] = notices.get(alert["reference"], [])
    ordered = {kind: sorted(rows, key=lambda r: str(r["when"])) for kind, rows in told.items()}
    return {"encounter": encounter, "alerts": ordered["Communication"], "tasks": ordered["Task"]}


def _kind(told: dict[str, Any]) -> str:
    """alert, correction, or who else was told: the hospital, the plan."""
    codes = {str(c.get("code")) for one in told.get("category") or () for c in one.get("coding") or ()}
    return next((word for code, word in KINDS.items() if code in codes), "told")
