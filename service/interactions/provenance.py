"""Provenance of what the service stores: rendered on read from a version and the audit row of the act that wrote it.

Its id is `v` and the version's number in the store, so that it can be read again. Who sees the version sees it, and
nobody else. What clients send as Provenance is stored apart from these, as any resource. decisions.md 20;
https://hl7.org/fhir/R4/provenance.html
"""

import re
from collections.abc import Sequence

from fhir_profiles import Resource
from fhir_profiles.json_text import write_json
from service.access.context import Context
from service.access.roles import check_scope
from service.clock import instant
from service.errors import not_found
from service.interactions.decision import Answer, Decision, fixed
from service.interactions.history import within_scopes
from service.interactions.notices import notice, outcome
from service.store import read as store_read
from service.store import written
from service.store.audit_rows import StoredAudit
from service.store.change import Change
from service.store.read import Found
from service.store.slots import updated_us
from service.store.written import WrittenVersion

RENDERED_ID = re.compile(r"v(\d{1,19})\Z")
_ACTIVITY = {1: "CREATE", 2: "UPDATE", 3: "DELETE"}
_OPERATION = "http://terminology.hl7.org/CodeSystem/v3-DataOperation"
_PARTICIPANT = "http://terminology.hl7.org/CodeSystem/provenance-participant-type"
_REASON = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
_SERVICE: Resource = {"display": "Enlace"}


async def read_provenance(ctx: Context, fhir_id: str) -> Decision:
    """200, or 404 for absent and foreign alike."""
    check_scope(ctx.caller, "r", "Provenance")
    match = RENDERED_ID.match(fhir_id)
    one = await written.version_of(ctx.store, int(match[1])) if match and int(match[1]) < 1 << 63 else None
    version = await _visible(ctx, one) if one is not None else None
    if one is None or version is None:
        raise not_found("Provenance", fhir_id)
    (found,) = await rendered(ctx, [one])
    told = await notice(ctx, (version,))
    row = ctx.audit("R", "read", f"Provenance/{fhir_id}", shown=(version,))
    answer = Answer(200, found.body, 1, found.vid, notice=outcome(told.issues))
    return Decision(Change(audit=[told.upon(ctx, row)]), fixed(answer))


async def provenance_of(ctx: Context, reference: str, most: int) -> list[tuple[Found, Found]]:
    """Of all versions of a resource that the caller sees now, newest first; [] for absent and foreign.

    Each with the version that it tells of: that is what is judged by the second wall and accounted for.
    """
    rtype, _, fhir_id = reference.partition("/")
    if rtype == "Provenance" or not ctx.caller.allows("r", rtype):
        return []
    if await store_read.head(ctx.store, rtype, fhir_id, ctx.readable()) is None:
        return []
    every = [(one, await _visible(ctx, one)) for one in await written.versions_of(ctx.store, reference, most)]
    shown = [(one, version) for one, version in every if version is not None]
    made = await rendered(ctx, [one for one, _ in shown])
    return [(one, version) for one, (_, version) in zip(made, shown, strict=True)]


async def _visible(ctx: Context, one: WrittenVersion) -> Found | None:
    if not ctx.caller.allows("r", one.rtype) or one.rtype == "Provenance":
        return None
    found = await store_read.version(ctx.store, one.rtype, one.fhir_id, one.version, ctx.readable())
    return found if found is not None and within_scopes(ctx, "r", found) else None


async def rendered(ctx: Context, versions: Sequence[WrittenVersion]) -> list[Found]:
    acts = await written.acts(ctx.store, versions)
    authors = await written.references(ctx.store, [one.source_org for one in versions])
    out = []
    for one in versions:
        resource = provenance(one, acts.get(one.vid), authors.get(one.source_org, ""))
        body = write_json(resource)
        out.append(Found(0, "Provenance", resource["id"], 1, one.vid, False, body, one.patient))
    return out


def provenance(one: WrittenVersion, act: StoredAudit | None, author: str) -> Resource:
    """act: None where the version is older than the audit that names versions: then its organization alone is known."""
    at = instant(updated_us(one.vid))
    resource: Resource = {
        "resourceType": "Provenance",
        "id": f"v{one.vid}",
        "meta": {"versionId": "1", "lastUpdated": at},
        "target": [{"reference": f"{one.reference}/_history/{one.version}"}],
        "recorded": at,
        "activity": {"coding": [{"system": _OPERATION, "code": _ACTIVITY[one.op]}]},
    }
    if act is not None and act.purpose:
        resource["reason"] = [{"coding": [{"system": _REASON, "code": act.purpose}]}]
    source = (act.more.get("source") or {}) if act is not None else {}
    resource["agent"] = _agents(act, author, str(source.get("organization") or ""))
    entities = _entities(source)
    if entities:
        resource["entity"] = entities
    return resource


def _agents(act: StoredAudit | None, author: str, told_by: str) -> list[Resource]:
    """The person or system who wrote, for whom; what followed from a message or file has its sender as informant."""
    if act is None:
        return [_agent("author", _who(author))]
    ours = act.kind in ("adt-applied", "file-row", "seed") or act.organization.startswith("Device/")
    who = _SERVICE if ours else _who(act.actor if "/" in act.actor else act.organization)
    agent = _agent("assembler" if ours else "author", who)
    behalf = act.organization
    if "/" in act.actor and behalf and not behalf.startswith("Device/") and behalf != who.get("reference"):
        agent["onBehalfOf"] = {"reference": behalf}
    agents = [agent]
    if "/" not in act.actor and not ours:
        agent["who"] = {**agent["who"], "display": f"client {act.actor}"}
    if told_by:
        agents.append(_agent("informant", _who(told_by)))
    return agents


def _agent(role: str, who: Resource) -> Resource:
    return {"type": {"coding": [{"system": _PARTICIPANT, "code": role}]}, "who": who}


def _who(reference: str) -> Resource:
    """Device/... is the service itself, which is no resource of its own."""
    return {"reference": reference} if reference and not reference.startswith("Device/") else dict(_SERVICE)


def _entities(source: dict[str, object]) -> list[Resource]:
    """The message (MSH-10 and digest) or the row of a file that the act followed from."""
    if source.get("control_id"):
        told = f"HL7 v2 message of {source.get('feed')}, SHA-256 {source.get('sha256')}"
        return [_entity(str(source["control_id"]), told)]
    if source.get("file_sha256"):
        return [_entity(str(source["file_sha256"]), f"Row {source.get('row')} of the plan's file with this SHA-256")]
    return []


def _entity(value: str, display: str) -> Resource:
    return {"role": "source", "what": {"identifier": {"value": value}, "display": display}}
