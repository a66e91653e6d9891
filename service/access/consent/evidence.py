"""Whether a Consent opens data to who wrote it, and what shows then that the member signed it. Pure.

A Consent is the member's act, and an organization that has the member writes it down. Where that organization gains by
it, its word is not enough: a form that is attached or referred to, or a verification, stands behind it, and is audited.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from fhir_profiles import Resource
from service.access.consent.provisions import Source
from service.search.references import normal_reference

UNSIGNED = (
    "Consent.source: it opens data to the organization that wrote it, and no signed form is shown. Add the form as "
    "sourceAttachment or sourceReference, or verification with verified true."
)
ELSEWHERE = ("Organization/", "Patient/", "RelatedPerson/")
"""Recipients of whom is known that they are not the writer's; a person or a CareTeam may be."""
DOCUMENT = ("data", "url", "hash")


def self_serving(consent: Resource, rows: Iterable[Mapping[str, Any]], source: Source) -> bool:
    """Whether a permit among the rows may reach the writer, without evidence."""
    if not source.writers or evident(consent, source.base_url):
        return False
    others = {source.keys.resource(one) for one in _recipients(consent.get("provision"), source.base_url)}
    others |= {source.keys.resource(organization) for _, organization in source.roles.values()}
    others -= source.writers
    return any(not row["grade"] & 1 and row["actor"] not in others and row["also"] not in others for row in rows)


def evident(consent: Resource, base_url: str) -> bool:
    """Another Consent is no form: it is what this one takes the place of."""
    attached = consent.get("sourceAttachment")
    if isinstance(attached, dict) and any(attached.get(name) for name in DOCUMENT):
        return True
    written = (consent.get("sourceReference") or {}).get("reference")
    if isinstance(written, str) and not (normal_reference(written, base_url) or "Consent/").startswith("Consent/"):
        return True
    return any(one.get("verified") is True for one in consent.get("verification") or ())


def _recipients(value: Any, base_url: str) -> Iterable[str]:
    """Organizations and the like that the provisions name; the second key of a role is one of them too."""
    if isinstance(value, dict):
        written = value.get("reference")
        reference = normal_reference(written, base_url) if isinstance(written, str) else None
        if reference and reference.startswith(ELSEWHERE):
            yield reference
        for inner in value.values():
            yield from _recipients(inner, base_url)
    elif isinstance(value, list):
        for inner in value:
            yield from _recipients(inner, base_url)
