"""Bundles from stored bytes: no model is built on a read. https://hl7.org/fhir/R4/bundle.html"""

from collections.abc import Sequence
from dataclasses import dataclass

from fhir_profiles.json_text import write_json
from service.clock import instant
from service.store.read import Found
from service.store.slots import updated_us


@dataclass(frozen=True)
class Entry:
    """One entry: a search match or include (mode), or a history entry (request = method, url).

    search: members of entry.search before the mode, such as a score. issues: of a history entry, what goes with it
    (entry.response.outcome: a history has no entries of its own for outcomes).
    """

    found: Found
    mode: str = ""
    request: tuple[str, str] | None = None
    search: dict[str, object] | None = None
    issues: Sequence[dict[str, object]] = ()


def bundle(
    kind: str,
    entries: Sequence[Entry],
    base_url: str,
    *,
    links: dict[str, str],
    now_us: int,
    new_id: str,
    total: int | None = None,
    outcome: bytes | None = None,
) -> bytes:
    """JSON text of the Bundle. links: relation -> URL, `self` first. outcome: an OperationOutcome entry at the end."""
    head: dict[str, object] = {
        "resourceType": "Bundle",
        "id": new_id,
        "meta": {"lastUpdated": instant(now_us)},
        "type": kind,
    }
    if total is not None:
        head["total"] = total
    head["link"] = [{"relation": relation, "url": url} for relation, url in links.items()]
    parts = [_entry(entry, base_url) for entry in entries]
    if outcome is not None:
        parts.append(b'{"resource":%b,"search":{"mode":"outcome"}}' % outcome)
    text = write_json(head)[:-1]
    return text + (b',"entry":[' + b",".join(parts) + b"]}" if parts else b"}")


def _entry(entry: Entry, base_url: str) -> bytes:
    found = entry.found
    parts = [b'"fullUrl":"%b/%b/%b"' % (base_url.encode(), found.rtype.encode(), found.fhir_id.encode())]
    if found.body is not None:
        parts.append(b'"resource":' + found.body)
    if entry.search is not None:
        parts.append(b'"search":' + write_json({**entry.search, "mode": entry.mode}))
    elif entry.mode:
        parts.append(b'"search":{"mode":"%b"}' % entry.mode.encode())
    if entry.request:
        method, url = entry.request
        status = {"POST": "201", "PUT": "200", "DELETE": "204"}[method]
        parts.append(b'"request":' + write_json({"method": method, "url": url}))
        response: dict[str, object] = {"status": status, "etag": f'W/"{found.version}"'}
        response["lastModified"] = instant(updated_us(found.vid))
        if entry.issues:
            response["outcome"] = {"resourceType": "OperationOutcome", "issue": list(entry.issues)}
        parts.append(b'"response":' + write_json(response))
    return b"{" + b",".join(parts) + b"}"
