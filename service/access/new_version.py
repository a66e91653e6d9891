"""A resource as a Write: the one place where a body gets its index rows, patient, labels, author and panel rows."""

import re
from dataclasses import replace
from functools import lru_cache

from fhir_profiles import Resource
from service.access.labels import labels
from service.access.panels import candidates, panel_rows
from service.search.index_rows import IndexRows
from service.search.keys import CANDIDATE_EDGE, PATIENT_EDGE, Keys, edge
from service.search.references import normal_reference
from service.search.values import index_rows, patient_of
from service.store.body import with_hole
from service.store.change import Write
from service.store.label_rules import REFERRED, from_source

_REFERENCE = re.compile(rb'"reference":"([^"\\]*(?:%b)[^"\\]+)"' % "|".join(REFERRED).encode())


def new_version(
    resource: Resource, expect: int, keys: Keys, *, source_org: int, now_us: int, base_url: str = ""
) -> Write:
    """`resource` carries its id; `expect` is the version it replaces (ABSENT: none).

    source_org: key of the organization that wrote the first version: an update by another does not take it over.
    """
    rtype, fhir_id = resource["resourceType"], resource["id"]
    patient = patient_of(resource, rtype, base_url)
    index = index_rows(resource, rtype, keys, base_url=base_url)
    patient_key = keys.resource(patient) if patient else None
    edges = index.edges
    if patient_key is not None and rtype != "Patient":
        edges = (*edges, (edge(rtype, PATIENT_EDGE), patient_key))
    offered = {normal_reference(one, base_url) or one for one in candidates(resource)}
    edges = (*edges, *((edge(rtype, CANDIDATE_EDGE), keys.resource(one)) for one in sorted(offered)))
    hole = with_hole(resource)
    return Write(
        rtype=rtype,
        fhir_id=fhir_id,
        expect=expect,
        resource=resource,
        hole=hole,
        index=replace(index, keys=(*index.keys, keys.author(rtype, source_org)), edges=edges),
        patient=patient_key,
        labels=labels(resource, hole),
        source_org=source_org,
        panel=panel_rows(resource, patient, keys, now_us, base_url),
        ruled=ruled(hole[1], keys, source_org, base_url),
    )


def ruled(text: bytes, keys: Keys, source_org: int, base_url: str) -> tuple[int, ...]:
    """Keys of the label rules that the resource may meet: of who wrote it, and of the places that it refers to."""
    found = {_place(keys, one, base_url) for one in _REFERENCE.findall(text)}
    return (from_source(source_org), *(key for key in found if key is not None))


@lru_cache(maxsize=16_384)
def _place(keys: Keys, written: bytes, base_url: str) -> int | None:
    """Key of an entry of the directory; the same few stand in most resources."""
    reference = normal_reference(written.decode(), base_url) or ""
    return keys.resource(reference) if reference.startswith(REFERRED) else None


def deletion(rtype: str, fhir_id: str, expect: int, *, patient: int | None, source_org: int) -> Write:
    """A deletion keeps whose record it was and who wrote it: only they hear 410."""
    return Write(rtype, fhir_id, expect, None, index=IndexRows(), patient=patient, source_org=source_org)
