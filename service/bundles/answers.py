"""Answers of entries, and the Bundle that holds them. https://hl7.org/fhir/R4/bundle-response.html

Put together from bytes: what an interaction answered is not read again.
"""

from collections.abc import Sequence
from typing import NamedTuple

import orjson

from fhir_profiles.json_text import write_json
from service.clock import instant
from service.errors import FhirError
from service.interactions.decision import Answer
from service.store.slots import updated_us

_BUNDLE = b'{"resourceType":"Bundle"'
"""An answer that states its notice itself."""
DONE = {
    "resourceType": "OperationOutcome",
    "issue": [{"severity": "information", "code": "informational", "diagnostics": "Done."}],
}


class Asked(NamedTuple):
    """Of an entry: its method, and `return` of Prefer, which counts for all entries."""

    method: str
    returned: str = ""


def answered(asked: Asked, answer: Answer, base_url: str) -> bytes:
    """One entry of the response: what the single request would answer, headers as elements of `response`."""
    response: dict[str, object] = {"status": str(answer.status)}
    body = answer.body
    if asked.method == "HEAD" or answer.status in (204, 304):
        body = None
    if answer.location and answer.status in (200, 201):
        response["location"] = f"{answer.location}/_history/{answer.version}"
    if answer.version is not None:
        response["etag"] = f'W/"{answer.version}"'
    if answer.vid is not None:
        response["lastModified"] = instant(updated_us(answer.vid))
    if asked.method in ("POST", "PUT", "PATCH") and answer.location and asked.returned:
        if asked.returned in ("minimal", "operationoutcome"):
            body = None
        if asked.returned == "operationoutcome":
            response["outcome"] = DONE
    if body and answer.notice is not None and not body.startswith(_BUNDLE):
        response["outcome"] = orjson.Fragment(answer.notice)
    parts = []
    if answer.location:
        parts.append(b'"fullUrl":%b' % write_json(f"{base_url}/{answer.location}"))
    if body:
        parts.append(b'"resource":' + body)
    parts.append(b'"response":' + write_json(response))
    return b"{" + b",".join(parts) + b"}"


def refused(refusal: FhirError) -> bytes:
    """One entry of the response that says why."""
    response: dict[str, object] = {"status": str(refusal.category.status), "outcome": refusal.outcome()}
    if "ETag" in refusal.headers:
        response["etag"] = refusal.headers["ETag"]
    return b'{"response":' + write_json(response) + b"}"


def response_bundle(kind: str, parts: Sequence[bytes], fhir_id: str) -> bytes:
    head = write_json({"resourceType": "Bundle", "id": fhir_id, "type": f"{kind}-response"})[:-1]
    return head + (b',"entry":[' + b",".join(parts) + b"]}" if parts else b"}")
